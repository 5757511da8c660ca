import { join } from 'node:path';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { createActivity } from '../../src/console/activity.ts';
import { eventStreamRoute } from '../../src/console/event-stream.ts';
import { createLive, type Live } from '../../src/console/live.ts';
import { Overview, overviewRoute } from '../../src/console/overview.ts';
import { createRedrives } from '../../src/console/redrives.ts';
import { createSettlements } from '../../src/dispatch/settlements.ts';
import type { EventState, Queue } from '../../src/queue/queue.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import type { Replicas } from '../../src/replicas/replicas.ts';
import { openStream, type Stream } from '../event-stream.ts';
import { killMany, newEvent } from '../queue/new-events.ts';
import { temporaryFolder, until } from '../service.ts';
import { closeServer, openTogether } from './together.ts';

t.teardown(closeServer);

t.test('a console sees what happens on another replica, and nothing is written while nobody looks', async (t) => {
  const { db, open } = await openTogether(t);
  const queue = await openQueue(t);
  const [here, there] = [await open(), await open()];
  const [watched, other] = [await openConsole(t, queue, here), await openConsole(t, queue, there)];
  const written = async (): Promise<number> => (await db.query('SELECT 1 FROM change')).length;
  await keep(queue, other.live, 'unseen');
  await until('they know each other', () => here.hasOthers() && there.hasOthers());
  t.equal(await written(), 0);

  const stream = await watched.watch();
  await until('the other one knows', () => there.changes.isWanted());
  const startedAt = performance.now();
  const id = await keep(queue, other.live, 'm1');
  await until('it is told', () => shown(stream, 'm1').length > 0);
  t.ok(performance.now() - startedAt < 3000, `${performance.now() - startedAt} ms`);
  t.match(shown(stream, 'm1'), [{ id, status: 'queued', userId: 'u' }]);
  await deliver(queue, other.live);
  await until('its delivery is told', () => shown(stream, 'm1').at(-1)?.status === 'delivered');
  t.ok((await written()) > 0);
  t.equal(shown(stream, 'm1').length, 2, 'each change is told once');

  await keep(queue, watched.live, 'm2');
  await until('its own are told, too', () => shown(stream, 'm2').length > 0);
  stream.close();
  await until('the other one knows that nobody looks', () => !there.changes.isWanted());
});

t.test('what happened just before the others have noticed a new console is told', async (t) => {
  const { open } = await openTogether(t);
  const queue = await openQueue(t);
  const [here, there] = [await open(), await open()];
  const [watched, other] = [await openConsole(t, queue, here), await openConsole(t, queue, there)];
  const stream = await watched.watch();
  await keep(queue, other.live, 'm');
  await until('it is told', () => shown(stream, 'm').length > 0);
});

t.test('a delivery that is told before the acceptance stays the newest', async (t) => {
  const { open } = await openTogether(t);
  const queue = await openQueue(t);
  const [here, there] = [await open(), await open()];
  const [watched, other] = [await openConsole(t, queue, here), await openConsole(t, queue, there)];
  const stream = await watched.watch();
  const all = await watched.watch('status=delivered');
  await until('the other one knows', () => there.changes.isWanted());
  // It is kept there and delivered here, whose own news is the faster one.
  await keep(queue, other.live, 'm');
  await deliver(queue, watched.live);
  await keep(queue, other.live, 'last');
  await until('both are told', () => shown(stream, 'last').length > 0 && shown(all, 'm').length > 0);
  t.equal(shown(stream, 'm').at(-1)?.status, 'delivered');
});

t.test('what is more than can be told is counted', async (t) => {
  const { open } = await openTogether(t);
  const queue = await openQueue(t);
  const [here, there] = [await open(), await open()];
  const [watched, other] = [await openConsole(t, queue, here), await openConsole(t, queue, there)];
  const stream = await watched.watch();
  await until('the other one knows', () => there.changes.isWanted());
  const events = Array.from({ length: 5000 }, (_, n) => newEvent(`u${n}`, `m${n}`));
  for (let n = 0; n < events.length; n += 1000) {
    const some = events.slice(n, n + 1000);
    other.live.accepted(some, await queue.enqueue(some));
  }
  await until('the newest is told', () => shown(stream, 'm4999').length > 0);
  const skipped = stream.data('skipped').reduce((sum, { count }) => sum + Number(count), 0);
  t.equal(stream.data('event').length + skipped, 5000);
});

t.test('who waits at one replica is answered when another delivers, and who waits in vain is let go', async (t) => {
  const states = new Map<string, EventState>();
  const asked: string[][] = [];
  const settlements = createSettlements({
    everyMs: 5,
    look: async (ids) => {
      asked.push(ids);
      return new Map(ids.flatMap((id) => (states.has(id) ? [[id, states.get(id)!]] : [])));
    },
  });
  t.teardown(settlements.close);
  const waiting = settlements.wait(['a', 'b'], 60_000);
  const state = { reason: null, intercomStatus: 202, calls: 1 };
  states.set('a', { id: 'a', status: 'delivered', ...state });
  await until('only the other one is asked for', () => asked.at(-1)?.join() === 'b');
  settlements.announce([{ id: 'b', status: 'dead', ...state }]);
  t.match(
    [...(await waiting).values()],
    [
      { id: 'a', status: 'delivered' },
      { id: 'b', status: 'dead' },
    ],
  );
  states.set('c', { id: 'c', status: 'queued', ...state });
  t.equal((await settlements.wait(['c'], 30)).size, 0);
});

t.test('the overview adds up what all replicas did, those that are gone too, and lists who is there', async (t) => {
  const { open, crash } = await openTogether(t);
  const queue = await openQueue(t);
  const attempt = { outcome: 'delivered', events: 2, calls: 3, saved: { merged: 1, unchanged: 0, knownIds: 2 } };
  const counting = async () => {
    const replica = await open();
    const activity = createActivity();
    const ofAll = replica.shareActivity(activity);
    return { replica, activity, ofAll };
  };
  const [first, second] = [await counting(), await counting()];
  const http = Fastify();
  t.teardown(() => http.close());
  await http.register(overviewRoute, {
    queue,
    activity: second.activity,
    replicas: { list: second.replica.list, activity: second.ofAll },
    installations: () => [],
    version: '1.2.3',
  });
  const look = async (): Promise<Overview> => Overview.parse((await http.inject('/v1/admin/overview')).json());
  const sum = ({ minutes }: Overview, key: 'calls' | 'delivered'): number =>
    minutes.reduce((all, minute) => all + minute[key], 0);

  for (const { activity } of [first, second]) for (let n = 0; n < 5; n += 1) activity.attempted(attempt);
  const seen = await until('both are added up', async () => {
    const now = await look();
    return sum(now, 'calls') === 30 && now.saved.merged === 10 ? now : null;
  });
  t.equal(sum(seen, 'delivered'), 20);
  t.strictSame(seen.saved, { merged: 10, unchanged: 0, knownIds: 20 });
  t.strictSame(
    seen.replicas.map(({ id }) => id),
    [first.replica.id, second.replica.id],
  );
  t.match(seen.replicas[0], { version: '1.2.3', roles: ['all'], host: 'h', since: /Z$/, lastSeenAt: /Z$/ });
  await until(
    'the rate is that of both',
    async () => (await look()).backlog.callsPerSecond > second.activity.rates().calls,
  );

  await crash(first.replica);
  second.activity.attempted(attempt);
  await until('what it did is still counted', async () => sum(await look(), 'calls') === 33);
});

t.test('a redrive goes on elsewhere when its replica dies, and is seen and cancelled anywhere', async (t) => {
  const { db, open, crash } = await openTogether(t);
  const queue = await openQueue(t);
  await killMany(queue, 2600);
  const timing = { leaseMs: 1000, lookMs: 50 };
  const gate = Promise.withResolvers<void>();
  let steps = 0;
  const stuck: Queue = {
    ...queue,
    async redrive(ids) {
      steps += 1;
      if (steps > 1) await gate.promise;
      return queue.redrive(ids);
    },
  };
  const live = { changed: () => {} };
  const [first, second] = [await open({ timing }), await open({ timing })];
  const dying = createRedrives({ queue: stuck, live, jobs: first.redrives });
  const started = await dying.start({ status: 'dead', userId: undefined });
  if (started.kind !== 'job') throw new Error('it is no job');
  const { id } = started.job;
  await until('it hangs in its second step', () => steps === 2);
  const heir = createRedrives({ queue, live, jobs: second.redrives });
  t.match(await heir.find(id), { id, total: 2600, done: 500, status: 'running' });
  await crash(first);
  await until('the other one has ended it', async () => (await heir.find(id))?.status === 'done');
  t.match(await queue.stats(), { dead: 0, queued: 2600 });
  t.match(await heir.find(id), { total: 2600, done: 2600 });
  t.strictSame(await db.query('SELECT filter FROM redrive'), [{ filter: '{}' }], 'whom it was about is forgotten');
  gate.resolve();
  await Promise.all([dying.stop(), heir.stop()]);
});

t.test('a redrive that runs on one replica is cancelled on another', async (t) => {
  const { open } = await openTogether(t);
  const queue = await openQueue(t);
  await killMany(queue, 1600);
  const gate = Promise.withResolvers<void>();
  let isWaiting = false;
  const stuck: Queue = {
    ...queue,
    async redrive(ids) {
      isWaiting = true;
      await gate.promise;
      return queue.redrive(ids);
    },
  };
  const live = { changed: () => {} };
  const [first, second] = [await open(), await open()];
  const running = createRedrives({ queue: stuck, live, jobs: first.redrives });
  const other = createRedrives({ queue, live, jobs: second.redrives });
  const started = await running.start({ status: 'dead' });
  if (started.kind !== 'job') throw new Error('it is no job');
  await until('a step is under way', () => isWaiting);
  t.match(await other.cancel(started.job.id), { status: 'cancelled', done: 0 });
  gate.resolve();
  await until('its step is over', async () => (await other.find(started.job.id))?.done === 500);
  await Promise.all([running.stop(), other.stop()]);
  t.match(await queue.stats(), { dead: 1100, queued: 500 });
  t.equal(await other.find('redrive_x'), undefined);
});

async function openQueue(t: Test): Promise<Queue> {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db') });
  t.teardown(() => queue.close());
  return queue;
}

/** A replica's live stream over HTTP. */
async function openConsole(t: Test, queue: Queue, { changes }: Replicas) {
  const live = createLive({ queue, shared: changes, timing: { flushMs: 50, rememberMs: 0 } });
  const http = Fastify();
  await http.register(eventStreamRoute, { live });
  const url = await http.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(async () => {
    live.close();
    await http.close();
  });
  return { live, watch: (query = ''): Promise<Stream> => openStream(t, `${url}/events/stream?${query}`) };
}

async function keep(queue: Queue, live: Live, messageId: string): Promise<string> {
  const events = [newEvent('u', messageId)];
  const receipts = await queue.enqueue(events);
  live.accepted(events, receipts);
  return receipts[0]!.id;
}

async function deliver(queue: Queue, live: Live): Promise<void> {
  const [lease] = await queue.lease({ installation: 'default', people: 1, jobsEach: 10 });
  const attempt = { intercomStatus: 202, calls: 1, ms: 3, exchange: null };
  const done = lease!.jobs.map(({ id }) => ({ id, status: 'delivered' as const, reason: null, attempt }));
  await queue.settle(lease!, { done });
  await queue.release(lease!);
  live.changed(done);
}

const shown = (stream: Stream, messageId: string): Record<string, unknown>[] =>
  stream.data('event').filter((event) => event.messageId === messageId);
