import t from 'tap';
import { until } from '../service.ts';
import { playShop } from './shop.ts';
import { openConsole } from './stage.ts';

const track = (event: string, more: object = {}) => ({
  type: 'track',
  event,
  userId: 'user-123',
  messageId: event,
  ...more,
});

t.test('before the first event the page shows what to send', async (t) => {
  const { page, service } = await openConsole(t);
  await page.getByRole('heading', { name: 'No event has come yet' }).waitFor();
  t.match(await page.locator('.first-steps').innerText(), `curl -i ${service.url}/ingest`);
  t.match(await page.locator('.settings').innerText(), /Payload format\s+canonical/);
});

t.test('an event comes to the page by itself, and opens to its whole story', async (t) => {
  const { page, service } = await openConsole(t);
  await page.getByText('Live', { exact: true }).waitFor();
  const consent = { consent: { canonical: { functional: true } } };
  await service.post(track('Order Completed', { properties: { total: 129.99, currency: 'USD' }, context: consent }));
  const row = page.getByRole('link', { name: 'Order Completed' });
  await row.waitFor();
  await row.click();
  const story = page.getByRole('region', { name: 'Order Completed' });
  await story.getByText('202 Accepted').first().waitFor();
  const text = await story.innerText();
  t.match(text, /Intercom's answer to POST \/events, \d calls?/);
  t.match(text, /It needs functional consent\. In Signal's canonical consent functional is true\./);
  t.match(text, '"event_name": "Order Completed"', 'what was sent');
  t.match(text, '"amount": 12999');
  await story.getByText('Raw event').click();
  t.match(await story.innerText(), '"total": 129.99', 'what came');
  t.match(page.url(), /#\/events\?event=evt_/, 'the address leads here');
  await page.reload();
  await story.getByText('202 Accepted').first().waitFor();
});

t.test('the funnel balances, and counts on without being asked', async (t) => {
  const { page, service } = await openConsole(t);
  const funnel = page.getByRole('region', { name: 'What became of all events' });
  const numbers = async () =>
    (await funnel.locator('.funnel-count').allInnerTexts()).map((count) => Number.parseInt(count, 10));
  await service.post(track('A'));
  await service.post(track('B', { context: { consent: { canonical: { functional: false } } } }));
  await until('two are accepted', async () => (await numbers())[0] === 2);
  t.same(await numbers(), [2, 1, 0, 1, 0]);
  t.match(await funnel.innerText(), 'adds up');
});

t.test('filters narrow the list, stand in the address, and outlast a reload', async (t) => {
  const { page, service } = await openConsole(t);
  await playShop(service.url, service.simulator);
  const rows = page.locator('[data-event]');
  await page.locator('.funnel').getByRole('link', { name: 'Dead' }).click();
  await until('only dead letters are listed', async () => (await rows.count()) === 6);
  t.match(page.url(), 'status=dead');
  await page.getByLabel('Search in the raw events').fill('sku-2');
  await until('the text narrows further', async () => (await rows.count()) === 1);
  await page.reload();
  await until('the same list is back', async () => (await rows.count()) === 1);
  t.equal(await page.getByLabel('Search in the raw events').inputValue(), 'sku-2');
  await page.getByLabel('Search in the raw events').fill('no such text');
  await page.getByRole('heading', { name: 'No event fits' }).waitFor();
  await page.getByRole('link', { name: 'Remove the filters' }).click();
  await until('all are back', async () => (await rows.count()) > 10);
  await page.getByLabel('Type').selectOption('group');
  await until('one group', async () => (await rows.count()) === 1);
  await page.getByRole('button', { name: 'More filters' }).click();
  await page.getByLabel('Type').selectOption('');
  await page.getByRole('searchbox', { name: 'User id' }).fill('user-4117');
  await until('one person', async () =>
    (await page.locator('.cell-person').allInnerTexts()).slice(1).every((text) => text === 'user-4117'),
  );
});

t.test('the list is for keyboards: skip, arrow keys, enter, escape', async (t) => {
  const { page, service } = await openConsole(t);
  for (const name of ['One', 'Two', 'Three']) await service.post(track(name));
  await page.reload();
  await page.getByRole('link', { name: 'Three' }).waitFor();
  await page.evaluate('document.activeElement.blur()');
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate('document.activeElement.textContent.trim()');
  t.equal(await focused(), 'Skip to the content');
  await page.keyboard.press('Enter');
  t.equal(await page.evaluate('document.activeElement.id'), 'main');
  t.match(page.url(), '#/events', 'the screen stays');
  await page.getByRole('link', { name: 'Three' }).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  t.equal(await focused(), 'One');
  await page.keyboard.press('ArrowUp');
  t.equal(await focused(), 'Two');
  await page.keyboard.press('Enter');
  await page.getByRole('region', { name: 'Two' }).waitFor();
  t.equal(await focused(), 'Two', 'the story has the focus');
  await page.keyboard.press('Escape');
  await page.getByRole('region', { name: 'Two' }).waitFor({ state: 'detached' });
  t.equal(await page.evaluate("document.activeElement.hasAttribute('data-event')"), true, 'back on its row');
});

t.test('typing a filter keeps the cursor in its field', async (t) => {
  const { page, service } = await openConsole(t);
  for (const name of ['One', 'Two']) await service.post(track(name));
  const search = page.getByLabel('Search in the raw events');
  await search.pressSequentially('"On');
  await until('one event is listed', async () => (await page.locator('[data-event]').count()) === 1);
  await page.keyboard.type('e"');
  t.equal(await search.inputValue(), '"One"');
  await page.goBack();
  t.notMatch(page.url(), '#/events', 'each letter is no step back');
});
