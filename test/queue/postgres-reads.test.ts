import t, { type Test } from 'tap';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { openPostgresQueue, type PostgresOptions } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import type { Attempt, Done, Lease, NewEvent, Queue } from '../../src/queue/queue.ts';
import { startPostgres } from '../postgres.ts';
import { until } from '../service.ts';
import { newEvent } from './new-events.ts';

const server = await startPostgres();
t.teardown(() => server.close());

const limits = { installation: 'default', people: 100, jobsEach: 100 };
const attempt: Attempt = { intercomStatus: 200, calls: 1, ms: 1, exchange: '{"calls":["secret"],"warnings":["w"]}' };
const audit = { atMs: 1, action: 'a', resource: 'r', changes: '{}', ipAddress: '::1', userAgent: 'test' };
const visit = (device: string, messageId: string): NewEvent => ({
  ...newEvent('', messageId),
  userId: null,
  anonymousId: device,
});

async function open(t: Test, options: Partial<PostgresOptions> = {}) {
  const url = await server.newDatabase();
  await migrate(url);
  const queue = await openPostgresQueue({ url, connections: 4, ...options });
  const db = openDatabase(url, { connections: 2 });
  t.teardown(async () => {
    await queue.close();
    await db.close();
  });
  return { queue, db, url };
}

async function settle(queue: Queue, lease: Lease, status: Done['status'], record?: string): Promise<void> {
  await queue.settle(lease, { done: lease.jobs.map(({ id }) => ({ id, status, reason: 'r', attempt })), record });
  await queue.release(lease);
}

t.test('what is over leaves, and the ledger balances', async (t) => {
  const { queue, db } = await open(t, { holdAnonymous: true, retention: { settledMs: 1, deadMs: 1e9, heldMs: 1 } });
  const kept = await queue.enqueue(['dead', 'gone'].map((id) => newEvent(id, id)));
  const [first, second] = await queue.lease(limits);
  await settle(queue, first!, 'dead');
  await settle(queue, second!, 'delivered');
  const held = await queue.enqueue([visit('d', 'v1'), visit('d', 'v2')]);
  const ids = [...kept, ...held].map(({ id }) => id);
  await until('all but the dead one have left', async () => (await queue.states(ids)).size === 1);
  t.match(await queue.stats(), { accepted: 4, delivered: 1, filtered: 2, dead: 1, queued: 0, held: 0 });
  t.match(await queue.stats('default'), { queued: 0 });
  t.match(await queue.enqueue([newEvent('gone', 'gone')]), [{ duplicate: true, original: { status: 'delivered' } }]);
  t.strictSame(await db.query('SELECT person, queued FROM lane WHERE queued <> 0'), []);
});

t.test('an erasure that nobody brought back leaves nothing when its time is over', async (t) => {
  const { queue, db } = await open(t, { retention: { deadMs: 1 } });
  await queue.enqueue([{ ...newEvent('u', '1'), email: 'a@x.test' }]);
  await settle(queue, (await queue.lease(limits))[0]!, 'delivered', '{"email":"a@x.test"}');
  const id = await queue.erase('default', 'user:u');
  await settle(queue, (await queue.lease(limits))[0]!, 'dead');
  await until('it is forgotten', async () => (await queue.erasure(id)) === null);
  const counted = async (name: string) => (await db.query<{ n: number }>(`SELECT count(*) AS n FROM ${name}`))[0]!.n;
  await until('and all with it', async () => {
    const counts = await Promise.all(['erasure', 'contact', 'joined', 'alias', 'event', 'attempt'].map(counted));
    return counts.every((n) => n === 0);
  });
});

t.test('an erasure takes the devices along, and holds nobody back who was joined meanwhile', async (t) => {
  const { queue, db } = await open(t, { holdAnonymous: true });
  await queue.enqueue([{ ...newEvent('u', '1'), anonymousId: 'd', email: 'a@x.test' }]);
  await settle(queue, (await queue.lease(limits))[0]!, 'delivered', '{"a":1}');
  t.strictSame((await queue.person('default', 'anon:d')).aliases, ['anon:d', 'email:a@x.test']);
  const id = await queue.erase('default', 'email:a@x.test');
  const lead = { ...newEvent('', '2'), userId: null, email: 'a@x.test' };
  await queue.enqueue([lead]);
  const [erasing, ...others] = await queue.lease(limits);
  t.match(erasing, { erasure: { id, userId: 'u', emails: ['a@x.test'] } });
  t.strictSame(others, [], 'the new lead waits');
  await queue.enqueue([{ ...newEvent('w', '3'), email: 'a@x.test' }]);
  await settle(queue, erasing!, 'delivered');
  t.match(await queue.erasure(id), { status: 'done' });
  t.match((await queue.detail(id))?.history, [{ exchange: '{"calls":[],"warnings":["w"]}' }]);
  const user = await until('the user is due', async () => (await queue.lease(limits))[0]);
  t.match(user, { person: 'user:w', jobs: [{}, {}] });
  await settle(queue, user, 'delivered');
  t.strictSame(await db.query('SELECT person FROM lane WHERE blockers <> 0'), []);
});

t.test('a dead letter of an erased person is not brought back, though the walk has not come to it', async (t) => {
  const { queue, db } = await open(t);
  const [receipt] = await queue.enqueue([newEvent('u', '1')]);
  await settle(queue, (await queue.lease(limits))[0]!, 'dead');
  await db.query("INSERT INTO erasure (seq, keys) VALUES (1000000, '{default/user:u}')");
  t.equal(await queue.redrive([receipt!.id]), 0);
  t.match(await queue.stats(), { dead: 1, queued: 0 });
});

t.test('an installation is kept, audited and removed with all that waits for it', async (t) => {
  const { queue, db } = await open(t);
  await queue.keepInstallation('b', '1', audit);
  await queue.keepInstallation('a', '2', null);
  await queue.keepInstallation('b', '3', { ...audit, action: 'b' });
  t.strictSame(await queue.installations(), [
    { id: 'b', record: '3' },
    { id: 'a', record: '2' },
  ]);
  const many = Array.from({ length: 1200 }, (_, n) => ({ ...newEvent(`u${n}`, `${n}`), installation: 'b' }));
  await queue.enqueue([...many, newEvent('u', 'other'), { ...many[0]!, messageId: 'lead', email: 'e@x' }]);
  const [flying] = await queue.lease({ installation: 'b', people: 1, jobsEach: 1 });
  await queue.removeInstallation('b', { ...audit, action: 'c' });
  t.equal(await queue.standing(flying!), null);
  t.strictSame(await queue.installations(), [{ id: 'a', record: '2' }]);
  t.match(await queue.stats(), { accepted: 1202, filtered: 1201, queued: 1, people: 1, leased: 0 });
  t.match(await queue.stats('b'), { queued: 0, people: 0, oldestQueuedAtMs: null });
  t.match(await queue.causes('filtered'), { causes: [{ reason: 'installation_removed', count: 1201 }] });
  t.strictSame(await db.query("SELECT key FROM alias UNION SELECT person FROM lane WHERE installation = 'b'"), []);
  const page = await queue.audit({ limit: 2, before: null });
  t.match(page.entries, [{ action: 'c' }, { action: 'b' }]);
  t.match(await queue.audit({ limit: 2, before: page.next }), { entries: [{ ...audit }], next: null });
});

t.test('a search pages from the newest on, by anything that is known of an event', async (t) => {
  const { queue } = await open(t);
  const receipts = await queue.enqueue(
    Array.from({ length: 30 }, (_, n) => ({ ...newEvent(`u${n % 3}`, `m${n}`), name: n % 2 === 0 ? 'A' : 'B' })),
  );
  const ids = receipts.map(({ id }) => id).toReversed();
  const first = await queue.find({}, { limit: 20, before: null });
  const rest = await queue.find({}, { limit: 20, before: first.next });
  t.strictSame(
    [...first.events, ...rest.events].map(({ id }) => id),
    ids,
  );
  t.equal(rest.next, null);
  const found = async (filter: Parameters<Queue['find']>[0]) =>
    (await queue.find(filter, { limit: 50, before: null })).events.length;
  t.equal(await found({ installation: 'default', people: ['user:u1'], name: 'A' }), 5);
  t.equal(await found({ text: '"m7"', status: 'queued' }), 1);
  t.equal(await found({ status: 'dead' }), 0);
  t.equal(await found({ userId: 'u\0' }), 0);
  t.strictSame(await queue.find({}, { limit: 5, before: 'evt_nonsense' }), { events: [], next: null });
});
