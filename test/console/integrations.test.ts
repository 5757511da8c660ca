import t from 'tap';
import { adminToken, openConsole } from './stage.ts';

const noDefault = { INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '', INTERCOM_API_URL: '' };
const tokens = ['first-access-token', 'second-access-token'];

/** INTERCOM_API_URL stays, so that what is installed goes to the simulator. */
const without = { INTERCOM_ACCESS_TOKEN: noDefault.INTERCOM_ACCESS_TOKEN, INTERCOM_REGION: noDefault.INTERCOM_REGION };

t.test('a workspace is installed, and its first event arrives', async (t) => {
  const { page, service } = await openConsole(t, { env: without, simulator: { tokens }, hash: '#/integrations' });
  await page.getByRole('button', { name: 'Install', exact: true }).click();
  const form = page.getByRole('form', { name: 'Install Intercom' });
  await form.getByRole('button', { name: 'Install' }).click();
  await form.getByText('Access Token is needed.').waitFor();
  t.match(
    await form.innerText(),
    /Settings › Integrations › Developer Hub › your app › Authentication/,
    'it says where the token is found',
  );
  await form.getByLabel('Access Token').fill('a-wrong-token');
  await form.getByRole('button', { name: 'Install' }).click();
  await form.getByText('It was not installed').waitFor();
  await form.getByLabel('Access Token').fill(tokens[0]!);
  await form.getByRole('button', { name: 'Install' }).click();
  const card = page.locator('.integration');
  await card.getByText('Active').waitFor();
  t.notMatch(await page.content(), tokens[0], 'the token is not shown again');
  const address = await card.locator('.ingest-url code').innerText();
  t.match(address, `${service.url}/ingest/int_`);
  const { status } = await fetch(address, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'track', event: 'First', userId: 'u' }),
  });
  t.equal(status, 200);
  await page.getByRole('link', { name: 'Live events' }).click();
  await page.getByRole('link', { name: 'First' }).waitFor();
});

t.test('a broken token is told on every screen, and mended where it says', async (t) => {
  const { page, service } = await openConsole(t, { env: without, simulator: { tokens }, hash: '#/integrations' });
  await install(page, tokens[0]!);
  service.simulator.setTokens([tokens[1]!]);
  const sent = await service.post({ type: 'track', event: 'Waits', userId: 'u' }, { prefer: 'respond-async' });
  t.equal(sent.status, 202);
  await page.getByRole('link', { name: 'Live events' }).click();
  await page.getByText(/Delivery to Intercom is on hold/).waitFor();
  await page.getByText('Nothing is lost: 1 event waits').waitFor();
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByText(/Delivery to Intercom is on hold/).waitFor();
  await page.getByRole('link', { name: 'Open integrations' }).click();
  await page.getByRole('button', { name: 'Change token' }).click();
  const dialog = page.getByRole('dialog', { name: 'New token for Intercom' });
  await dialog.getByLabel('Access token').fill(tokens[1]!);
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.locator('.integration').getByText('Active').waitFor();
  await page.getByRole('link', { name: 'Live events' }).click();
  await page.locator('tr').filter({ hasText: 'Waits' }).getByText('Delivered').waitFor();
});

t.test('an integration is checked, paused, resumed and removed', async (t) => {
  const { page, service } = await openConsole(t, { env: without, simulator: { tokens }, hash: '#/integrations' });
  await install(page, tokens[0]!);
  const card = page.locator('.integration');
  await card.getByRole('button', { name: 'Check' }).click();
  await card.getByText(/Intercom accepts the token: workspace/).waitFor();
  await card.getByRole('button', { name: 'Pause' }).click();
  await card.getByText('Paused: events are accepted and kept').waitFor();
  await service.post({ type: 'track', event: 'Kept', userId: 'u' }, { prefer: 'respond-async' });
  await card.getByRole('button', { name: 'Remove' }).click();
  const dialog = page.getByRole('dialog', { name: 'Remove Intercom?' });
  await dialog.getByRole('button', { name: 'Remove', exact: true }).click();
  await dialog.getByText('1 events wait for this integration').waitFor();
  await dialog.getByRole('button', { name: 'Keep it' }).click();
  await card.getByRole('button', { name: 'Resume' }).click();
  await card.getByText('Active').waitFor();
  await service.post({ type: 'track', event: 'Last', userId: 'u' });
  await card.getByRole('button', { name: 'Remove' }).click();
  await dialog.getByRole('button', { name: 'Remove', exact: true }).click();
  await card.waitFor({ state: 'detached' });
  const log = page.getByRole('region', { name: 'Latest changes' });
  await log.getByText('integration removed').waitFor();
  t.match(await log.innerText(), /integration paused[\s\S]*integration installed/);
});

t.test(
  "the environment's integration can't be changed here, and a second workspace gets a name of its own",
  async (t) => {
    const { page } = await openConsole(t, { hash: '#/integrations', env: { ADMIN_TOKEN: adminToken } });
    const card = page.locator('.integration');
    await card.getByText('by INTERCOM_ACCESS_TOKEN').waitFor();
    t.equal(await card.getByRole('button', { name: 'Change token' }).count(), 0);
    await page.getByRole('button', { name: 'Install another workspace' }).click();
    t.equal(await page.getByLabel('Name').inputValue(), 'Intercom 2');
  },
);

async function install(page: import('playwright-core').Page, token: string): Promise<void> {
  await page.getByRole('button', { name: 'Install', exact: true }).click();
  const form = page.getByRole('form', { name: 'Install Intercom' });
  await form.getByLabel('Access Token').fill(token);
  await form.getByRole('button', { name: 'Install' }).click();
  await page.locator('.integration').getByText('Active').waitFor();
}
