import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { steadyTime } from '../../src/queue/sqlite/clock.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import { temporaryFolder, until } from '../service.ts';
import { conformance } from './conformance.ts';
import { newEvent } from './new-events.ts';

conformance(t, (t, options) => {
  const path = join(temporaryFolder(t), 'queue.db');
  return { open: () => openSqliteQueue({ path, ...options }) };
});

t.test('a second process on the same file is refused in plain words', async (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  const queue = await openSqliteQueue({ path });
  await t.rejects(openSqliteQueue({ path }), /in use by another process/);
  await queue.close();
  const next = await openSqliteQueue({ path });
  await next.close();
});

t.test('a writer thread that broke takes no group that was on its way already', async (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  const retention = { settledMs: 1e9, deadMs: 1e9, heldMs: 1e9 };
  const thread = new Worker(new URL('../../src/queue/sqlite/worker.ts', import.meta.url), {
    workerData: { path, isSuspect: false, holdAnonymous: false, retention },
  });
  const replies: string[] = [];
  thread.on('message', ({ kind }) => void replies.push(kind));
  const isOver = once(thread, 'exit');
  // All three are there before it has opened the file.
  thread.postMessage({ kind: 'batch', ops: [{ kind: 'enqueue', events: [newEvent('u', 'kept')] }] });
  thread.postMessage({ kind: 'batch', ops: null }); // nothing can be done with it
  thread.postMessage({ kind: 'batch', ops: [{ kind: 'enqueue', events: [newEvent('u', 'late')] }] });
  await isOver;
  t.same(replies, ['open', 'batch', 'broken']);
  const queue = await openSqliteQueue({ path });
  t.equal((await queue.stats()).accepted, 1);
  await queue.close();
});

t.test('a file whose making was cut short by a power cut is made anew', async (t) => {
  const folder = temporaryFolder(t);
  const path = join(folder, 'queue.db');
  const making = new DatabaseSync(join(folder, 'making.db'));
  making.exec('PRAGMA cache_size = 1; PRAGMA synchronous = FULL; CREATE TABLE a (text TEXT)');
  // More than the cache takes, so that the file is changed already and its journal says how it was.
  making.exec('BEGIN');
  for (let n = 0; n < 100; n += 1) making.exec(`INSERT INTO a VALUES ('${'x'.repeat(2000)}')`);
  for (const suffix of ['', '-journal']) copyFileSync(join(folder, `making.db${suffix}`), path + suffix);
  making.close();

  const queue = await openSqliteQueue({ path, onSalvage: () => t.fail('nothing is damaged') });
  t.equal((await queue.stats()).accepted, 0);
  await queue.close();
  const db = new DatabaseSync(path);
  t.equal(db.prepare('SELECT count(*) AS rows FROM a').get()?.rows, 0, 'what was cut short is taken back');
  db.close();
});

t.test('after a start, a retry waits as long as it was told to, and never for an hour that comes again', (t) => {
  const clock = { steadyMs: () => 5, wallMs: () => 1_000_000_000 };
  t.equal(steadyTime(clock, 0), 0, 'at once');
  t.equal(steadyTime(clock, clock.wallMs() - 1), 0, 'its time is over');
  t.equal(steadyTime(clock, clock.wallMs() + 20_000), 20_005);
  t.equal(steadyTime(clock, clock.wallMs() + 3_600_000), 600_005, 'the clock was set back while nobody ran');
  t.end();
});

t.test(
  'settled events leave when their time is over, dead ones later; the messageId is known all the same',
  async (t) => {
    const path = join(temporaryFolder(t), 'queue.db');
    const event = (messageId: string) => ({
      installation: 'default',
      messageId,
      type: 'track',
      name: 'A',
      userId: messageId,
      email: null,
      anonymousId: null,
      receivedAtMs: Date.now(),
      atMs: Date.now(),
      payload: '{}',
      decision: '{}',
      consent: null,
      filtered: null,
    });
    const attempt = { intercomStatus: 202, calls: 1, ms: 1, exchange: '{}' };
    const queue = await openSqliteQueue({ path, retention: { settledMs: 1 } });
    t.teardown(() => queue.close());
    const receipts = await queue.enqueue(['delivered', 'dead', 'queued'].map(event));
    const leases = await queue.lease({ installation: 'default', people: 2, jobsEach: 1 });
    for (const [index, status] of (['delivered', 'dead'] as const).entries()) {
      const lease = leases[index]!;
      await queue.settle(lease, { done: [{ id: lease.jobs[0]!.id, status, reason: null, attempt }] });
      await queue.release(lease);
    }
    const ids = receipts.map(({ id }) => id);
    await until('the delivered one has left', async () => !(await queue.states(ids)).has(ids[0]!));
    t.strictSame(
      [...(await queue.states(ids)).values()].map(({ status }) => status),
      ['dead', 'queued'],
    );
    t.match(await queue.enqueue([event('delivered')]), [{ duplicate: true, original: { status: 'delivered' } }]);
    t.match(await queue.stats(), { accepted: 3, delivered: 1, dead: 1, queued: 1 }, 'the ledger still balances');
  },
);

t.test(
  'an erasure that Intercom refused, and nobody brought back, leaves nothing either when its time is over',
  async (t) => {
    const path = join(temporaryFolder(t), 'queue.db');
    const queue = await openSqliteQueue({ path, retention: { deadMs: 1 } });
    t.teardown(() => queue.close());
    const ada = {
      installation: 'default',
      messageId: 'm',
      type: 'identify',
      name: null,
      userId: 'u-ada',
      email: 'ada@example.com',
      anonymousId: null,
      receivedAtMs: Date.now(),
      atMs: Date.now(),
      payload: '{}',
      decision: '{}',
      consent: null,
      filtered: null,
    };
    const attempt = { intercomStatus: 200, calls: 1, ms: 1, exchange: '{"calls":[],"warnings":[]}' };
    await queue.enqueue([ada]);
    const limits = { installation: 'default', people: 2, jobsEach: 1 };
    const [lease] = await queue.lease(limits);
    const done = { id: lease!.jobs[0]!.id, status: 'delivered' as const, reason: null, attempt };
    await queue.settle(lease!, { done: [done], record: '{"fields":{"email":"ada@example.com"}}' });
    await queue.release(lease!);
    const id = await queue.erase('default', 'user:u-ada');
    const [erasing] = await queue.lease(limits);
    await queue.settle(erasing!, { done: [{ ...done, id, status: 'dead' }] });
    await queue.release(erasing!);
    const db = new DatabaseSync(path, { readOnly: true });
    t.teardown(() => db.close());
    const kept = () =>
      ['erasure', 'contact', 'joined', 'alias', 'event'].flatMap((name) => db.prepare(`SELECT * FROM ${name}`).all());
    await until('it is forgotten', () => kept().length === 0);
    t.equal(await queue.erasure(id), null);
  },
);
