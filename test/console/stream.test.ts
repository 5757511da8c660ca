import t from 'tap';
import { startService, until } from '../service.ts';
import { enter } from './shop.ts';
import { adminToken, openConsole, openPage } from './stage.ts';

const track = (event: string, more: object = {}) => ({
  type: 'track',
  event,
  userId: 'user-123',
  messageId: event,
  ...more,
});

t.test('a row goes when it no longer fits the filter', async (t) => {
  const { page, service } = await openConsole(t, { hash: '#/events?status=queued' });
  service.simulator.setTokens([]);
  await service.post(track('Waits'), { prefer: 'respond-async' });
  await page.getByRole('link', { name: 'Waits' }).waitFor();
  service.simulator.setTokens(['demo-token']);
  await page.getByRole('heading', { name: 'No event fits' }).waitFor({ timeout: 20_000 });
});

t.test('while paused, new events wait and are counted', async (t) => {
  const { page, service } = await openConsole(t);
  await service.post(track('First'));
  await page.getByRole('link', { name: 'First' }).waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await service.post(track('Second'));
  await service.post(track('Third'));
  await page.getByRole('button', { name: 'Show 2 newer events' }).waitFor();
  t.equal(await page.locator('[data-event]').count(), 1);
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByRole('link', { name: 'Third' }).waitFor();
  t.same(await page.locator('[data-event]').allInnerTexts(), ['Third', 'Second', 'First']);
});

t.test('scrolled down, the rows in sight stay where they are', async (t) => {
  const { page, service } = await openConsole(t);
  await service.post(Array.from({ length: 90 }, (_, n) => track(`Event ${n}`)));
  const table = page.locator('.event-table');
  await page.getByRole('link', { name: 'Event 89', exact: true }).waitFor();
  await table.evaluate((element) => element.scrollTo({ top: 1000 }));
  await page.getByRole('link', { name: 'Event 55', exact: true }).waitFor();
  const place = () => page.getByRole('link', { name: 'Event 55', exact: true }).boundingBox();
  const before = await place();
  await service.post(track('New one'));
  await page.getByRole('button', { name: 'Show 1 newer event' }).waitFor();
  t.same(await place(), before);
  await page.getByRole('button', { name: 'Show 1 newer event' }).click();
  await page.getByRole('link', { name: 'New one' }).waitFor();
  t.equal(await table.evaluate((element) => element.scrollTop), 0);
});

t.test('older events come page by page', async (t) => {
  const { page, service } = await openConsole(t);
  for (let batch = 0; batch < 3; batch += 1)
    await service.post(
      Array.from({ length: 120 }, (_, n) => track(`Event ${batch * 120 + n}`)),
      { prefer: 'wait=20' },
    );
  await page.reload();
  const table = page.locator('.event-table');
  await until('the oldest is reached', async () => {
    await table.evaluate((element) => element.scrollTo({ top: element.scrollHeight }));
    return page.getByRole('link', { name: 'Event 0', exact: true }).isVisible();
  });
  const few = await page.locator('[data-event]').count();
  t.ok(few < 60, `only the rows in sight are in the document: ${few}`);
});

t.test('thousands of events a second leave the page in use', async (t) => {
  const { page, service } = await openConsole(t, { env: { INGEST_WAIT_MS: '0' } });
  await page.getByText('Live', { exact: true }).waitFor();
  await page.evaluate(`
    let last = performance.now();
    gaps = [];
    requestAnimationFrame(function tick(now) {
      gaps.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    });
  `);
  const batches = 15;
  const size = 1000;
  for (let batch = 0; batch < batches; batch += 1)
    await service.post(
      Array.from({ length: size }, (_, n) => ({
        ...track(`Burst ${batch}`),
        messageId: `b-${batch}-${n}`,
        userId: `u-${n}`,
      })),
      { prefer: 'respond-async' },
    );
  await page
    .getByRole('link', { name: `Burst ${batches - 1}` })
    .first()
    .waitFor();
  t.ok((await page.locator('[data-event]').count()) < 60);
  const gaps = await page.evaluate<number[]>('gaps');
  const longest = Math.round(Math.max(...gaps));
  t.comment(`${gaps.length} frames, the longest after ${longest} ms`);
  t.ok(longest < 1000, `a frame came at least every ${longest} ms`);
});

t.test('the stream goes on after the service was away, and misses nothing', async (t) => {
  const first = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const { page } = await openPage(t);
  await enter(page, first.url, adminToken);
  await first.post(track('Before'));
  await page.getByRole('link', { name: 'Before' }).waitFor();
  await first.stop();
  await page.getByText('No connection').waitFor();
  await page.getByText(/Reconnecting|Connecting/).waitFor();
  const second = await startService(t, {
    env: { ADMIN_TOKEN: adminToken },
    databasePath: first.databasePath,
    simulator: first.simulator,
    port: Number(new URL(first.url).port),
  });
  await second.post(track('After'));
  await page.getByRole('link', { name: 'After' }).waitFor({ timeout: 20_000 });
  await page.getByRole('link', { name: 'Before' }).waitFor();
});
