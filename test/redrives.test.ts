import { join } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { z } from 'zod';
import { eventRoutes } from '../src/console/event-routes.ts';
import { redriveRoutes } from '../src/console/redrive-routes.ts';
import { createRedrives } from '../src/console/redrives.ts';
import { type Queue, QueueUnavailable } from '../src/queue/queue.ts';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { killMany, newEvent } from './queue/new-events.ts';
import { startService, temporaryFolder, until } from './service.ts';

const Sent = z.object({ user_id: z.string(), created_at: z.number() });
const adminToken = 'an-admin-token-of-some-length';

t.test('more than a thousand dead letters are redriven by a job, each person in order', async (t) => {
  const service = await startService(t, {
    env: { ADMIN_TOKEN: adminToken },
    simulator: { limitPerMinute: 1_000_000 },
  });
  const ask = async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) => {
    const response = await request(service.url + path, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, ...(body && { 'content-type': 'application/json' }) },
      body: body ? JSON.stringify(body) : null,
    });
    return { status: response.statusCode, headers: response.headers, body: JSON.parse(await response.body.text()) };
  };
  const people = ['u0', 'u1', 'u2', 'u3'];
  await service.post(people.map((userId) => ({ type: 'identify', userId })));
  service.simulator.inject({
    kind: 'status',
    status: 422,
    endpoint: 'POST /events',
    times: 1200,
    body: { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] },
  });
  const startMs = Date.parse('2026-02-25T10:00:00Z');
  const events = Array.from({ length: 1200 }, (_, n) => ({
    type: 'track',
    event: 'Ordered',
    userId: people[n % people.length],
    messageId: `m${n}`,
    timestamp: new Date(startMs + n * 1000).toISOString(),
  }));
  for (let n = 0; n < events.length; n += 600)
    await service.post(events.slice(n, n + 600), { prefer: 'respond-async' });
  const summary = async () => (await ask('GET', '/events/summary?status=dead')).body.data;
  await until('all are dead', async () => (await summary())[0]?.count === 1200);
  t.match(await summary(), [
    {
      reason: 'invalid_request',
      status: 'dead',
      explanation: /refused/,
      remedy: /redrive/,
      oldest: /Z$/,
      newest: /Z$/,
      example: { name: 'Ordered', type: 'track' },
    },
  ]);
  t.match(await ask('POST', '/events/redrive', { dryRun: true }), {
    status: 200,
    body: { redriven: 1200, dryRun: true },
  });
  const started = await ask('POST', '/events/redrive', { reason: 'invalid_request' });
  t.match(started, {
    status: 202,
    body: { count: 1200 },
    headers: { location: `/events/redrives/${started.body.id}` },
  });
  const progress = async () => (await ask('GET', `/events/redrives/${started.body.id}`)).body;
  await until('it is done', async () => (await progress()).status === 'done');
  t.strictSame(await progress(), { id: started.body.id, total: 1200, done: 1200, status: 'done' });
  await until('all are delivered', () => people.every((person) => service.simulator.timeline(person).length === 300));
  const sent = service.simulator.calls.filter(({ endpoint, status }) => endpoint === 'POST /events' && status === 202);
  for (const person of people) {
    const seconds = sent.flatMap(({ requestBody }) => {
      const { user_id: userId, created_at: second } = Sent.parse(requestBody);
      return userId === person ? [second] : [];
    });
    t.equal(seconds.length, 300);
    t.strictSame(
      seconds,
      seconds.toSorted((a, b) => a - b),
    );
  }
  t.match(await ask('DELETE', `/events/redrives/${started.body.id}`), { status: 200, body: { status: 'done' } });
  t.match(await ask('GET', '/events/redrives/redrive_x'), { status: 404, body: { code: 'unknown_redrive' } });
  t.strictSame(await summary(), []);
});

t.test('a job that is cancelled leaves the rest dead; asked again, it takes up the rest', async (t) => {
  const { queue, http, gate } = await openRoutes(t);
  await killMany(queue, 1600);
  const started = (await http.inject({ method: 'POST', url: '/events/redrive' })).json();
  t.equal(started.count, 1600);
  const path = `/events/redrives/${started.id}`;
  await until('a step is under way', () => gate.waiting === 1);
  t.match((await http.inject({ method: 'DELETE', url: path })).json(), { status: 'cancelled', done: 0 });
  gate.open();
  await until('the step is over', async () => (await http.inject(path)).json().done === 500);
  t.strictSame((await http.inject(path)).json(), { id: started.id, total: 1600, done: 500, status: 'cancelled' });
  t.match(await queue.stats(), { dead: 1100, queued: 500 });
  const again = (await http.inject({ method: 'POST', url: '/events/redrive' })).json();
  t.equal(again.count, 1100);
  await until('all are queued', async () => (await queue.stats()).dead === 0);
  t.match(await queue.stats(), { accepted: 1600, queued: 1600 });
});

t.test('the end of the service ends a job after its step, and what is left can be redriven', async (t) => {
  const { queue, http, gate, redrives } = await openRoutes(t);
  await killMany(queue, 1600);
  await http.inject({ method: 'POST', url: '/events/redrive' });
  await until('a step is under way', () => gate.waiting === 1);
  const stopped = redrives.stop();
  gate.open();
  await stopped;
  t.match(await queue.stats(), { dead: 1100, queued: 500 });
  const next = createRedrives({ queue, live: { changed: () => {} } });
  await next.start({ status: 'dead' });
  await until('all are queued', async () => (await queue.stats()).dead === 0);
  t.match(await queue.stats(), { accepted: 1600, queued: 1600 });
});

t.test('a job goes on after the database was away for a moment', async (t) => {
  const { queue, http, gate } = await openRoutes(t);
  await killMany(queue, 1200);
  const { id } = (await http.inject({ method: 'POST', url: '/events/redrive' })).json();
  await until('a step is under way', () => gate.waiting === 1);
  gate.fail();
  await until('it is done', async () => (await http.inject(`/events/redrives/${id}`)).json().status === 'done');
  t.match(await queue.stats(), { dead: 0, queued: 1200 });
});

t.test('filtered events are summed up beside the dead ones, with what to do', async (t) => {
  const { queue, http } = await openRoutes(t);
  await killMany(queue, 3);
  await queue.enqueue(['a', 'b', 'c'].map((id) => ({ ...newEvent('f', id), filtered: 'consent_functional' })));
  const look = async (query: string) => (await http.inject(`/events/summary${query}`)).json();
  const { data, filteredSince } = await look('');
  t.match(data, [
    { reason: 'consent_functional', status: 'filtered', count: 3 },
    { reason: 'expired', status: 'dead', count: 2 },
    { reason: 'bug', status: 'dead', count: 1 },
  ]);
  t.equal(filteredSince, null);
  t.equal((await look('?status=filtered')).data.length, 1);
  t.strictSame(await look('?installation=other'), { data: [], filteredSince: null });
});

/** The routes on a queue of their own, whose first redrive waits until it is let go. */
async function openRoutes(t: Test) {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db') });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  const gate = { waiting: 0, open: resolve, fail: () => reject(new QueueUnavailable('cannot_store', 'away')) };
  let isFirst = true;
  const gated: Queue = {
    ...queue,
    async redrive(ids) {
      gate.waiting += 1;
      const mustWait = isFirst;
      isFirst = false;
      if (mustWait) await promise;
      return queue.redrive(ids);
    },
  };
  const redrives = createRedrives({ queue: gated, live: { changed: () => {} } });
  const http: FastifyInstance = Fastify();
  await http.register(eventRoutes, { queue });
  await http.register(redriveRoutes, { queue, redrives });
  t.teardown(async () => {
    await redrives.stop();
    await http.close();
    await queue.close();
  });
  return { queue, http, gate, redrives };
}
