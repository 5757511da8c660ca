import t from 'tap';
import { until } from '../service.ts';
import { playShop } from './shop.ts';
import { openConsole } from './stage.ts';

t.test('dead letters stand by their cause, with what Intercom said and what to do', async (t) => {
  const { page, service } = await openConsole(t);
  await playShop(service.url, service.simulator);
  await page.getByRole('link', { name: /Dead letters/ }).click();
  const groups = page.locator('.group');
  await until('both causes are listed', async () => (await groups.count()) === 2);
  const first = await groups.first().innerText();
  t.match(first, /^4\s+events\s+Invalid request/);
  t.match(first, /Cause\s+Intercom refused the request/);
  t.match(first, /Remedy\s+Correct what the answer names/);
  await groups.first().getByText('422 metadata.price must be a number').waitFor();
  await groups.first().getByRole('link', { name: 'See 4 events' }).click();
  await until('they are listed', async () => (await page.locator('[data-event]').count()) === 4);
});

t.test('a group is redriven after its number was shown, and delivered', async (t) => {
  const { page, service } = await openConsole(t);
  await playShop(service.url, service.simulator);
  await page.getByRole('link', { name: /Dead letters/ }).click();
  const group = page.locator('.group').filter({ hasText: 'Event name quota' });
  const button = group.getByRole('button', { name: 'Redrive…' });
  await button.click();
  const dialog = page.getByRole('dialog', { name: 'Redrive 2 events?' });
  await dialog.waitFor();
  t.match(await dialog.innerText(), /First mend the cause:\s+Archive names in Intercom/);
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  t.equal(
    await button.evaluate((element) => element === element.ownerDocument.activeElement),
    true,
    'the focus is back',
  );
  await button.click();
  await dialog.getByRole('button', { name: 'Redrive', exact: true }).click();
  await page.getByText('Event name quota: 2 events queued again').waitFor();
  await group.waitFor({ state: 'detached' });
  await until(
    'both are delivered',
    () =>
      service.simulator.calls.filter(({ endpoint, status }) => endpoint === 'POST /events' && status === 202).length >=
      22,
  );
});

t.test('one dead letter is redriven from its story', async (t) => {
  const { page, service } = await openConsole(t, { hash: '#/events?status=dead' });
  await playShop(service.url, service.simulator);
  await page.getByRole('link', { name: 'Gift Wrapped' }).click();
  const story = page.getByRole('region', { name: 'Gift Wrapped' });
  await story.getByText('422 Unprocessable Content').first().waitFor();
  t.match(await story.innerText(), 'The workspace has its 120 active event names.');
  await story.getByRole('button', { name: 'Redrive' }).click();
  await story.getByText('202 Accepted').first().waitFor();
  t.match(await story.innerText(), 'Nothing is left to do.');
});

t.test('without dead letters the page says so', async (t) => {
  const { page } = await openConsole(t, { hash: '#/dead-letters' });
  await page.getByRole('heading', { name: 'No dead letters' }).waitFor();
});

t.test('a redrive of many is a job that is watched to its end', async (t) => {
  const { page, service } = await openConsole(t, { env: { INGEST_WAIT_MS: '0' } });
  const many = 1100;
  await service.post({ type: 'identify', userId: 'u' });
  service.simulator.inject({
    kind: 'status',
    status: 422,
    endpoint: 'POST /events',
    body: { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] },
    times: many,
  });
  for (const part of [0, 1])
    await service.post(
      Array.from({ length: many / 2 }, (_, n) => ({
        type: 'track',
        event: 'A',
        userId: 'u',
        messageId: `${part}-${n}`,
      })),
    );
  await page.getByRole('link', { name: /Dead letters 1,100/ }).click();
  await page.locator('.group').getByText('1,100', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Redrive…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Redrive 1,100 events?' });
  await dialog.getByRole('button', { name: 'Redrive', exact: true }).click();
  await page.getByText('Invalid request: 1,100 events queued again').waitFor();
  await page.getByRole('heading', { name: 'No dead letters' }).waitFor();
});
