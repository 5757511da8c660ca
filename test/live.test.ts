import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { mock } from 'node:test';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { eventStreamRoute } from '../src/console/event-stream.ts';
import { createLive } from '../src/console/live.ts';
import type { Receipt } from '../src/queue/queue.ts';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { openStream, type Stream } from './event-stream.ts';
import { newEvent } from './queue/new-events.ts';
import { type Service, startService, temporaryFolder, until } from './service.ts';

const adminToken = 'an-admin-token-of-some-length';
const authorization = `Bearer ${adminToken}`;
const env = { ADMIN_TOKEN: adminToken };
const track = (messageId: string, userId = 'u') => ({ type: 'track', event: `E ${messageId}`, userId, messageId });

const watch = (t: Test, { url }: Service, query = '', lastEventId?: string): Promise<Stream> =>
  openStream(t, `${url}/events/stream?${query}`, {
    authorization,
    ...(lastEventId !== undefined && { 'last-event-id': lastEventId }),
  });
const told = (stream: Stream, status: string): unknown[] =>
  stream
    .data('event')
    .filter((event) => event.status === status)
    .map(({ messageId }) => messageId);
async function look(service: Service, path: string) {
  const response = await request(service.url + path, { headers: { authorization } });
  return { status: response.statusCode, body: JSON.parse(await response.body.text()) };
}

t.test('an event appears when it is accepted, and again when it is delivered', async (t) => {
  const service = await startService(t, { env });
  const answered = Promise.withResolvers<void>();
  service.simulator.inject({ kind: 'slow', ms: 0, until: answered.promise, endpoint: 'POST /events', times: 9 });
  const stream = await watch(t, service);
  const answer = await service.post(track('m'), { prefer: 'respond-async' });
  await until('it is told', () => told(stream, 'queued').length === 1);
  t.equal(told(stream, 'delivered').length, 0);
  answered.resolve();
  await until('its delivery is told', () => told(stream, 'delivered').length === 1);
  const [queued, delivered] = stream.data('event');
  t.match(queued, { id: answer.body.events[0]!.id, messageId: 'm', name: 'E m', installation: 'default', attempts: 0 });
  t.strictSame([delivered], (await look(service, '/events?messageId=m')).body.data, 'as the list has it');
  t.strictSame(Object.keys(queued!).sort(), Object.keys(delivered!).sort());
});

t.test('within two seconds of its acceptance an event is told', async (t) => {
  const { live } = await openLive(t, {});
  let told = '';
  mock.timers.enable({ apis: ['setTimeout'] }); // the two seconds are the clock's, not those of a busy machine
  try {
    t.teardown(live.subscribe({ filter: {}, isReady: () => true, send: (bytes) => (told += bytes), end() {} }, null));
    live.accepted([newEvent('u', '1')], [receiptOf('1')]);
    mock.timers.tick(2000);
  } finally {
    mock.timers.reset();
  }
  await until('it is told', () => told.includes('evt_000000001'));
});

t.test('a filtered event is told as the list has it', async (t) => {
  const service = await startService(t, { env });
  const stream = await watch(t, service);
  await service.post({ ...track('m'), context: { consent: { canonical: { functional: false } } } });
  await until('it is told', () => told(stream, 'filtered').length === 1);
  t.strictSame(stream.data('event'), (await look(service, '/events')).body.data);
});

t.test('several watchers see the same; the ledger is told at once and when it has changed', async (t) => {
  const service = await startService(t, { env });
  const streams = await Promise.all([watch(t, service), watch(t, service), watch(t, service)]);
  await until('it is told', () => streams.every((stream) => stream.data('overview').length === 1));
  t.strictSame(streams[0].data('overview'), [{ accepted: 0, delivered: 0, filtered: 0, dead: 0, queued: 0 }]);
  await service.post(track('m'));
  for (const stream of streams) {
    await until('the delivery is told', () => told(stream, 'delivered').length === 1);
    await until('the ledger is told', () => stream.data('overview').at(-1)?.delivered === 1);
  }
});

t.test('an attempt that is to be repeated is told with its time', async (t) => {
  const service = await startService(t, { env: { ...env, INGEST_WAIT_MS: '0' } });
  const stream = await watch(t, service);
  service.simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /events', times: 100 });
  await service.post(track('m'));
  await until('it is told', () => stream.data('event').some(({ nextAttemptAt }) => nextAttemptAt !== null));
});

t.test('a death and a redrive are told', async (t) => {
  const service = await startService(t, { env });
  const stream = await watch(t, service);
  service.simulator.inject({ kind: 'status', status: 422, endpoint: 'POST /events', times: 1 });
  await service.post(track('m'));
  await until('its death is told', () => told(stream, 'dead').length === 1);
  await request(`${service.url}/events/redrive`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: '{}',
  });
  await until('its delivery is told', () => told(stream, 'delivered').includes('m'));
});

t.test('who comes back with the last id has missed nothing', async (t) => {
  const service = await startService(t, { env });
  const first = await watch(t, service);
  await service.post(track('1'));
  await until('it is told', () => told(first, 'delivered').length === 1);
  const lastId = first.lastId()!;
  first.close();
  await until('it is gone', first.hasEnded);
  const missed = Array.from({ length: 1200 }, (_, n) => track(`missed-${n}`, `u${n}`));
  await service.post(missed.slice(0, 600), { prefer: 'respond-async' });
  await service.post(missed.slice(600), { prefer: 'respond-async' });
  const second = await watch(t, service, '', lastId);
  const seen = (): unknown[] => second.data('event').map(({ messageId }) => messageId);
  await until('all are told', () => new Set(seen()).size === missed.length);
  t.notOk(seen().includes('1'), 'and nothing that it has');
  t.strictSame(second.data('reset'), []);
  t.strictSame(second.data('skipped'), []);
});

t.test('who comes back too late, or to another process, is told to begin anew', async (t) => {
  const service = await startService(t, { env });
  const first = await watch(t, service);
  await until('it has an id', () => first.lastId() !== undefined);
  const lastId = first.lastId()!;
  for (let n = 0; n < 10; n += 1) {
    const batch = Array.from({ length: 1000 }, (_, i) => track(`${n}-${i}`, `u${i % 500}`));
    await service.post(batch, { prefer: 'respond-async' });
  }
  const late = await watch(t, service, '', lastId);
  await until('it is told', () => late.data('reset').length === 1);
  t.ok(late.messages.every(({ event }) => event !== 'skipped'));
  const other = await startService(t, { env });
  const elsewhere = await watch(t, other, '', lastId);
  await until('it is told', () => elsewhere.data('reset').length === 1);
  await other.post(track('m'));
  await until('it goes on', () => told(elsewhere, 'delivered').length === 1);
  const nonsense = await watch(t, other, '', 'nonsense');
  await until('it is told', () => nonsense.data('reset').length === 1);
});

t.test('of more than can be shown the newest are, and how many are not is said', async (t) => {
  const { live, port } = await openLive(t, { flushMs: 5 });
  const url = `http://127.0.0.1:${port}/events/stream`;
  const [stream, rare] = [await openStream(t, url), await openStream(t, `${url}?userId=rare`)];
  await until('both are seated', () => [stream, rare].every((one) => one.data('overview').length === 1));
  const events = Array.from({ length: 4000 }, (_, n) => newEvent(n === 0 ? 'rare' : 'u', `${n}`));
  live.accepted(
    events,
    events.map(({ messageId }) => receiptOf(messageId)),
  );
  await until('the newest is told', () => told(stream, 'queued').includes('3999'));
  const shown = new Set(told(stream, 'queued')).size;
  const skipped = stream.data('skipped').reduce((sum, { count }) => sum + Number(count), 0);
  t.equal(shown + skipped, 4000);
  t.ok(skipped > 0);
  await until('the filter has found it among all', () => told(rare, 'queued').length === 1);
  t.strictSame(rare.data('skipped'), []);
});

t.test('it takes the filters of the list', async (t) => {
  const service = await startService(t, { env });
  const [byUser, byStatus, byText, elsewhere] = [
    await watch(t, service, 'userId=v'),
    await watch(t, service, 'status=delivered&type=track'),
    await watch(t, service, 'text=needle'),
    await watch(t, service, 'installation=other'),
  ];
  await service.post([
    track('1'),
    { ...track('2', 'v'), properties: { a: 'needle' } },
    { type: 'identify', userId: 'v', messageId: '3' },
  ]);
  await until('all are told', () => told(byStatus, 'delivered').length === 2 && told(byUser, 'delivered').length === 2);
  await until('the text is told', () => told(byText, 'delivered').length === 1);
  t.strictSame(new Set(byUser.data('event').map(({ userId }) => userId)), new Set(['v']));
  t.strictSame(new Set(byText.data('event').map(({ messageId }) => messageId)), new Set(['2']));
  t.strictSame(
    new Set(byStatus.data('event').map(({ type, status }) => [type, status].join())),
    new Set(['track,delivered']),
  );
  t.strictSame(elsewhere.data('event'), []);
  t.match(await look(service, '/events/stream?status=lost'), { status: 400, body: { code: 'invalid_query' } });
});

t.test('nobody watches without the admin token', async (t) => {
  const { url } = await startService(t, { env });
  const { statusCode } = await request(`${url}/events/stream`);
  t.equal(statusCode, 401);
});

t.test('the service stops while consoles watch', async (t) => {
  const service = await startService(t, { env });
  const streams = await Promise.all(Array.from({ length: 3 }, () => watch(t, service)));
  await service.post(track('m'));
  await until('it is told', () => streams.every((stream) => told(stream, 'delivered').length === 1));
  await service.stop();
  await until('they were ended by it', () => streams.every((stream) => stream.hasEnded()));
});

t.test('what nobody watches is not remembered for long', async (t) => {
  const { live, port } = await openLive(t, { flushMs: 5, rememberMs: 0 });
  const url = `http://127.0.0.1:${port}/events/stream`;
  const first = await openStream(t, url);
  live.accepted([newEvent('u', '1')], [receiptOf('1')]);
  await until('it is told', () => first.data('event').length === 1);
  const second = await openStream(t, url, { 'last-event-id': first.lastId()! });
  await until('it has the ledger', () => second.data('overview').length === 1);
  t.strictSame(second.data('reset'), [], 'while another watches it is');
  const lastId = second.lastId()!;
  for (const stream of [first, second]) stream.close();
  await until('both are gone', () => first.hasEnded() && second.hasEnded());
  const late = await until('a newcomer is told to begin anew', async () => {
    const stream = await openStream(t, url, { 'last-event-id': lastId });
    await until('it is greeted', () => stream.messages.length > 0);
    stream.close();
    return stream.data('reset').length > 0 && stream;
  });
  t.ok(late);
});

t.test('a reader that takes nothing is cut off, and nothing piles up for it', async (t) => {
  const { http, live, port } = await openLive(t, { flushMs: 5, ledgerMs: 50, stallMs: 400 });
  let served: Socket | undefined;
  http.server.on('connection', (socket) => {
    served = socket;
  });
  const reader = connect({ host: '127.0.0.1', port });
  reader.pause();
  reader.write('GET /events/stream HTTP/1.1\r\nhost: x\r\n\r\n');
  let most = 0;
  let sent = 0;
  await until('it is cut off', () => {
    const events = Array.from({ length: 400 }, (_, n) => newEvent('u', `${sent + n}`));
    const receipts = events.map(({ messageId }) => receiptOf(messageId));
    live.accepted(events, receipts);
    most = Math.max(most, served?.writableLength ?? 0);
    sent += events.length;
    return served?.destroyed;
  });
  t.ok(sent > 5000, `${sent} events`);
  t.ok(most > 0 && most < 1_000_000, `${most} bytes waited`);
  t.ok(live.hasRoom());
});

/** The stream on a queue of its own, with times of its own. */
async function openLive(t: Test, timing: NonNullable<Parameters<typeof createLive>[0]['timing']>) {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db') });
  const live = createLive({ queue, timing });
  const http = Fastify();
  await http.register(eventStreamRoute, { live });
  const { port } = new URL(await http.listen({ host: '127.0.0.1', port: 0 }));
  t.teardown(async () => {
    live.close();
    await http.close();
    await queue.close();
  });
  return { http, live, port: Number(port) };
}

function receiptOf(number: string): Receipt {
  return { duplicate: false, id: `evt_${number.padStart(9, '0')}`, status: 'queued', reason: null };
}
