import { join } from 'node:path';
import t from 'tap';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { startService, temporaryFolder, until, writes } from './service.ts';

const hold = { ANONYMOUS_EVENTS: 'hold' };
const page = (name: string, hour: number, more: object = {}) => ({
  type: 'page',
  name,
  anonymousId: 'visitor-1',
  messageId: name,
  timestamp: `2026-02-25T${hour}:00:00Z`,
  ...more,
});

t.test('the pages before the login appear on the timeline after it, in order, with their own times', async (t) => {
  const { post, simulator } = await startService(t, { env: hold });
  for (const [n, name] of ['A', 'B', 'C'].entries()) {
    const { status, body } = await post(page(name, 10 + n));
    t.equal(status, 202);
    t.match(body.events[0], { status: 'queued' });
  }
  t.strictSame(writes(simulator), []);
  const login = { type: 'identify', userId: 'u-1', anonymousId: 'visitor-1', traits: { name: 'U' } };
  t.match((await post(login)).body.events[0], { status: 'delivered' });
  await until('the pages arrived', () => simulator.timeline('u-1').length === 3);
  t.strictSame(
    simulator
      .timeline('u-1')
      .map(({ createdAt, metadata }) => [metadata.name, new Date(createdAt * 1000).getUTCHours()]),
    [
      ['A', 10],
      ['B', 11],
      ['C', 12],
    ],
  );
  t.strictSame(
    writes(simulator),
    ['POST /contacts', 'POST /events', 'POST /events', 'POST /events'],
    'the login first',
  );
  t.match((await post(page('D', 13))).body.events[0], { status: 'delivered' }, 'from then on the device is known');
});

t.test('a sender is not kept waiting for a login', async (t) => {
  const { post } = await startService(t, { env: { ...hold, INGEST_WAIT_MS: '60000' } });
  const startedAtMs = performance.now();
  const { status } = await post([page('A', 10), page('B', 11)]);
  t.equal(status, 202);
  t.ok(performance.now() - startedAtMs < 30_000);
});

t.test('a track that carries both ids ties the visitor too; an email does as well', async (t) => {
  const { post, simulator } = await startService(t, { env: hold });
  await post(page('A', 10));
  await post({
    type: 'track',
    event: 'Bought',
    userId: 'u-1',
    anonymousId: 'visitor-1',
    timestamp: '2026-02-25T11:00:00Z',
  });
  await until('both arrived', () => simulator.timeline('u-1').length === 2);
  await post(page('B', 10, { anonymousId: 'visitor-2' }));
  await post({ type: 'track', event: 'Asked', anonymousId: 'visitor-2', traits: { email: 'lead@example.com' } });
  const lead = await until('the lead exists', () => simulator.contacts().find(({ role }) => role === 'lead'));
  await until('both of the lead arrived', () => simulator.timeline(lead.id).length === 2);
  t.strictSame(
    simulator.timeline(lead.id).map(({ eventName }) => eventName),
    ['page_viewed', 'Asked'],
  );
});

t.test('each held event keeps its own consent, and the newest of the person is asked again', async (t) => {
  const { post, simulator } = await startService(t, { env: hold });
  const consent = (functional: boolean) => ({ context: { consent: { functional } } });
  await post(page('granted', 10, consent(true)));
  t.match((await post(page('refused', 11, consent(false)))).body.events[0], { status: 'filtered' });
  await post({
    type: 'identify',
    userId: 'u-1',
    anonymousId: 'visitor-1',
    timestamp: '2026-02-25T12:00:00Z',
    ...consent(true),
  });
  await until('the granted one arrived', () => simulator.timeline('u-1').length === 1);
  t.match((await post(page('granted', 10))).body.events[0], { original: { status: 'delivered' } });
});

t.test('a visitor who never logs in is filtered once the time is over, also after a restart', async (t) => {
  const databasePath = join(temporaryFolder(t), 'queue.db');
  const first = await startService(t, { env: hold, databasePath });
  await first.post(page('A', 10));
  await first.stop();
  const { post } = await startService(t, { env: { ...hold, ANONYMOUS_HOLD_HOURS: '0.0001' }, databasePath });
  await until(
    'it was given up',
    async () => (await post(page('A', 10))).body.events[0]?.original?.status === 'filtered',
  );
  t.match((await post(page('A', 10))).body.events[0], { original: { reason: 'never_identified' } });
});

t.test('without a device id there is nothing to recognise: missing external_id or email', async (t) => {
  const { post } = await startService(t, { env: hold });
  const { status, body } = await post({ type: 'page' });
  t.equal(status, 400);
  t.match(body.detail, /missing external_id or email/);
});

t.test('a device that changes hands takes nothing of its first user along', async (t) => {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db'), holdAnonymous: true });
  t.teardown(() => queue.close());
  const event = (messageId: string, userId: string | null) => ({ ...visit(0), messageId, userId });
  await queue.enqueue([event('m1', null), event('m2', 'u-0'), event('m3', 'u-1')]);
  const leases = await queue.lease({ installation: 'default', people: 9, jobsEach: 9 });
  t.strictSame(
    leases.map(({ person, jobs }) => [person, jobs.length]),
    [
      ['user:u-0', 2],
      ['user:u-1', 1],
    ],
  );
});

t.test('what one visitor leaves waiting is bounded', async (t) => {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db'), holdAnonymous: true });
  t.teardown(() => queue.close());
  const receipts = await queue.enqueue(Array.from({ length: 501 }, (_, n) => visit(n)));
  t.match(receipts.at(-2), { status: 'queued' });
  t.match(receipts.at(-1), { status: 'filtered', reason: 'never_identified' });
  t.match(await queue.stats(), { queued: 500, filtered: 1, held: 1 });
  t.strictSame(await queue.lease({ installation: 'default', people: 10, jobsEach: 10 }), []);
});

function visit(n: number) {
  return {
    installation: 'default',
    messageId: `m-${n}`,
    type: 'page',
    name: null,
    userId: null,
    email: null,
    anonymousId: 'visitor',
    receivedAtMs: Date.now(),
    atMs: Date.now(),
    payload: '{}',
    decision: '{}',
    consent: null,
    filtered: null,
  };
}
