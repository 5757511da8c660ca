import t from 'tap';
import { startService, until } from '../service.ts';
import { enter } from './shop.ts';
import { adminToken, openConsole, openPage } from './stage.ts';

t.test('the page asks for the admin token, says when it is wrong, and keeps it in the tab', async (t) => {
  const service = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const { page } = await openPage(t);
  await page.goto(service.url);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('Enter the token.').waitFor();
  await page.getByLabel('Admin token').fill('another-token-of-some-length');
  await page.keyboard.press('Enter');
  await page.getByText('The service does not know this token').waitFor();
  t.equal(await page.getByLabel('Admin token').getAttribute('aria-invalid'), 'true');
  await page.getByLabel('Admin token').fill(adminToken);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Live events' }).waitFor();
  const kept = await page.evaluate<string>('[JSON.stringify(localStorage), location.href, document.cookie].join()');
  t.notMatch(kept, adminToken, 'not for longer than the tab, and not in its address');
  await page.reload();
  await page.getByRole('heading', { name: 'Live events' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByLabel('Admin token').waitFor();
  t.equal(await page.evaluate('sessionStorage.length'), 0);
});

t.test('a token that is changed meanwhile is asked for anew, with the reason', async (t) => {
  const { page } = await openConsole(t);
  await page.route('**/v1/admin/overview', (route) => route.fulfill({ status: 401, json: {} }));
  await page.getByText('no longer accepts this token').waitFor();
});

t.test('the admin token stands in no address that the page asks for', async (t) => {
  const service = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const { page } = await openPage(t);
  const urls: string[] = [];
  page.on('request', (asked) => void urls.push(asked.url()));
  await enter(page, service.url, adminToken, '#/events?email=jane%40example.com');
  await until('the stream is open', () => urls.some((url) => url.includes('/events/stream')));
  t.notMatch(urls.join('\n'), adminToken);
  t.equal(
    urls.every((url) => url.startsWith(service.url) || url.startsWith('data:')),
    true,
    'nothing comes from elsewhere',
  );
});
