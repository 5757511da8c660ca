import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
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
  await page.getByRole('heading', { name: 'No event fits' }).waitFor();
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
  await page.getByText('Settled per minute').waitFor(); // comes above the list once, with the first event of all
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
      { prefer: 'wait=60' },
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
  const busySeconds = await watchMainThread(page);
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
  const seconds = await busySeconds();
  t.comment(`the page was busy for ${seconds.toFixed(2)} s`);
  t.ok(seconds < 4, `${batches * size} events kept the page busy for ${seconds.toFixed(2)} s`);
  await page.getByRole('link', { name: 'Health' }).click();
  await page.getByRole('heading', { name: 'Health' }).waitFor();
});

t.test('the stream goes on after the service was away, and misses nothing', async (t) => {
  const first = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const address = await openAddress(t);
  address.lead(first.url);
  const { page } = await openPage(t);
  await enter(page, address.url, adminToken);
  await first.post(track('Before'));
  await page.getByRole('link', { name: 'Before' }).waitFor();
  address.lead(null);
  await first.stop();
  await page.getByText('No connection').waitFor();
  await page.getByText(/Reconnecting|Connecting/).waitFor();
  const second = await startService(t, {
    env: { ADMIN_TOKEN: adminToken },
    databasePath: first.databasePath,
    simulator: first.simulator,
  });
  address.lead(second.url);
  await second.post(track('After'));
  await page.getByRole('link', { name: 'After' }).waitFor();
  await page.getByRole('link', { name: 'Before' }).waitFor();
});

/** Of the processor's time: what else the machine does meanwhile is none of the page's. */
async function watchMainThread(page: Page): Promise<() => Promise<number>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const read = async (): Promise<number> => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    const found = metrics.find(({ name }) => name === 'TaskDuration');
    if (!found) throw new Error('Chromium tells no TaskDuration');
    return found.value;
  };
  const before = await read();
  return async () => (await read()) - before;
}

/** An address that stays, whichever service is behind it: a port that was given back may be another's at once. */
async function openAddress(t: Test) {
  let target: URL | null = null;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    if (target === null) {
      socket.destroy();
      return;
    }
    const service = connect({ host: target.hostname, port: Number(target.port) });
    service.on('error', () => {});
    for (const [from, to] of [
      [socket, service],
      [service, socket],
    ] as const) {
      from.pipe(to);
      from.on('close', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the address has no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    lead(url: string | null): void {
      target = url === null ? null : new URL(url);
      for (const socket of sockets) socket.destroy();
      sockets.clear();
    },
  };
}
