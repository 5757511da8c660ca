import t from 'tap';
import { openConsole } from './stage.ts';

t.test('a sample is explained, with its calls, and nothing is sent', async (t) => {
  const { page, service } = await openConsole(t, { hash: '#/try' });
  await page.getByRole('button', { name: 'Order Completed' }).click();
  const before = service.simulator.calls.length;
  await page.getByRole('button', { name: 'Explain' }).click();
  const result = page.getByRole('region', { name: 'Result' });
  await result.getByText('Would be sent').waitFor();
  const text = await result.innerText();
  t.match(text, /It needs functional consent/);
  t.match(text, 'user:user-123');
  t.match(text, /POST \/events/);
  t.match(text, '"amount": 12999');
  t.equal(service.simulator.calls.length, before);
});

t.test('what consent or a missing identifier forbids is said', async (t) => {
  const { page } = await openConsole(t, { hash: '#/try' });
  await page.getByRole('button', { name: 'Without consent' }).click();
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText('Would be filtered').waitFor();
  await page.locator('#event-text').fill('{"type":"track","event":"A"}');
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText(/Missing external_id or email/).waitFor();
});

t.test('a text that is no JSON can be neither explained nor sent, and it says where', async (t) => {
  const { page } = await openConsole(t, { hash: '#/try' });
  await page.locator('#event-text').fill('{"type": track}');
  await page.getByText(/This is no JSON: .*token/).waitFor();
  for (const name of ['Explain', 'Send for real'])
    t.equal(await page.getByRole('button', { name }).getAttribute('aria-disabled'), 'true');
});

t.test('an event is sent for real, and leads to its story', async (t) => {
  const { page } = await openConsole(t, { hash: '#/try' });
  await page.getByRole('button', { name: 'Send for real' }).click();
  const result = page.getByRole('region', { name: 'Result' });
  await result.getByText('Every event is settled.').waitFor();
  t.match(await result.innerText(), /The service answered 200 OK[\s\S]*Delivered[\s\S]*Intercom answered 202 Accepted/);
  await result.getByRole('link', { name: 'See its story' }).click();
  await page.getByRole('region', { name: 'Product Viewed' }).getByText('202 Accepted').first().waitFor();
});

t.test('where the sender needs a credential, the 401 is explained and the credential asked for', async (t) => {
  const { page } = await openConsole(t, { hash: '#/try', env: { INGEST_TOKEN: 'the-ingest-token' } });
  await page.getByRole('button', { name: 'Send for real' }).click();
  await page.getByText('The service wants a credential of the sender (401)').waitFor();
  await page.getByLabel('To send: authentication').selectOption('bearer');
  await page.getByLabel('Token', { exact: true }).fill('the-ingest-token');
  await page.getByRole('button', { name: 'Send for real' }).click();
  await page.getByText('Every event is settled.').waitFor();
});

t.test('what the service refuses is shown for each event', async (t) => {
  const { page } = await openConsole(t, { hash: '#/try' });
  await page.locator('#event-text').fill('{"type":"track","event":"A"}');
  await page.getByRole('button', { name: 'Send for real' }).click();
  await page.getByText('Nothing was kept: the event has to be changed first.').waitFor();
  await page.getByText(/Missing external_id or email/).waitFor();
});
