import { join } from 'node:path';
import Fastify from 'fastify';
import t from 'tap';
import { request } from 'undici';
import { createActivity } from '../src/console/activity.ts';
import { Overview, overviewRoute } from '../src/console/overview.ts';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { newEvent } from './queue/new-events.ts';
import { type Service, startService, temporaryFolder, until } from './service.ts';

const adminToken = 'an-admin-token-of-some-length';
const env = { ADMIN_TOKEN: adminToken };

async function overview({ url }: Service): Promise<Overview> {
  const { statusCode, body } = await request(`${url}/v1/admin/overview`, {
    headers: { authorization: `Bearer ${adminToken}` },
  });
  if (statusCode !== 200) throw new Error(await body.text());
  return Overview.strict().parse(await body.json());
}

t.test('it shows the ledger, the last hour, what was saved, and the quota', async (t) => {
  const service = await startService(t, { env });
  const identify = { type: 'identify', userId: 'u', traits: { name: 'A' } };
  await service.post(identify);
  await service.post({ ...identify, messageId: 'again' });
  await service.post({ ...identify, traits: { name: 'B' } });
  await service.post({ type: 'page', userId: 'v', context: { consent: { canonical: { functional: false } } } });
  const refusal = { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] };
  service.simulator.inject({ kind: 'status', status: 422, endpoint: 'POST /events', times: 1, body: refusal });
  await service.post({ type: 'track', event: 'Bad', userId: 'u' });
  const seen = await overview(service);
  t.strictSame(seen.ledger, { accepted: 5, delivered: 3, filtered: 1, dead: 1, queued: 0 });
  t.equal(seen.minutes.length, 60);
  const sum = (key: 'accepted' | 'delivered' | 'filtered' | 'dead' | 'retried' | 'calls'): number =>
    seen.minutes.reduce((all, minute) => all + minute[key], 0);
  t.strictSame([sum('accepted'), sum('delivered'), sum('filtered'), sum('dead')], [5, 3, 1, 1]);
  t.equal(sum('calls'), 3, 'of three events that differ from what Intercom has');
  t.strictSame(seen.saved, { merged: 0, unchanged: 1, knownIds: 1 });
  t.strictSame(seen.store, { ok: true, reason: null });
  t.match(seen.backlog, { queued: 0, people: 0, oldestReceivedAt: null, expectedEndAt: null });
  t.match(seen.installations, [{ id: 'default', name: 'Intercom', status: 'active', hold: null }]);
  t.ok(Number(seen.installations[0]!.quota.limit) > 0);
  const times = seen.minutes.map(({ at }) => Date.parse(at));
  t.ok(
    times.every((ms, index) => index === 0 || 60_000 === ms - times[index - 1]!),
    'a minute apart, oldest first',
  );
  t.ok(Date.parse(seen.now) - times.at(-1)! < 60_000);
});

t.test('it says why an installation is held, and what waits', async (t) => {
  const service = await startService(t, { env, simulator: { tokens: [] } });
  await until('it is held', async () => (await overview(service)).installations[0]?.status === 'held');
  await service.post([
    { type: 'identify', userId: 'u' },
    { type: 'identify', userId: 'v' },
  ]);
  const { installations, backlog } = await overview(service);
  t.match(installations[0]!.hold, { reason: 'token_invalid', message: String, remedy: /copy the token/, since: /Z$/ });
  t.match(backlog, { queued: 2, people: 2, oldestReceivedAt: /Z$/, callsPerSecond: Number, expectedEndAt: null });
});

t.test('merged identifies are counted as saved', async (t) => {
  const service = await startService(t, { env, simulator: { latencyMs: 100 } });
  const traits = (n: number) => ({ type: 'identify', userId: 'u', traits: { name: `N${n}` } });
  await service.post([traits(1), traits(2), traits(3)]);
  t.match((await overview(service)).saved, { merged: 2, unchanged: 0 });
});

t.test('without an installation it is empty, and without the admin token it is not shown', async (t) => {
  const service = await startService(t, { env: { ...env, INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '' } });
  t.strictSame((await overview(service)).installations, []);
  const { statusCode } = await request(`${service.url}/v1/admin/overview`);
  t.equal(statusCode, 401);
});

t.test('while the database can not be used, it tells why, with the ledger as last read', async (t) => {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db') });
  const http = Fastify();
  t.teardown(() => http.close());
  await http.register(overviewRoute, {
    queue: { stats: queue.stats, health: () => ({ ok: false, reason: 'the disk is full' }) },
    activity: createActivity(),
    installations: () => [],
    version: '0',
  });
  await queue.enqueue([newEvent('u', 'm')]);
  const look = async () => (await http.inject('/v1/admin/overview')).json<Overview>();
  t.equal((await look()).ledger.queued, 1);
  await queue.close();
  t.match(await look(), { ledger: { queued: 1 }, store: { ok: false, reason: 'the disk is full' } });
});

t.test('rates are those of the last half minute, and a minute that is over an hour old is forgotten', async (t) => {
  let nowMs = Date.parse('2026-02-25T10:00:00Z');
  const activity = createActivity(() => nowMs);
  const attempt = { outcome: 'delivered', events: 2, calls: 1, saved: { merged: 1, unchanged: 0, knownIds: 0 } };
  activity.kept(Array.from({ length: 50 }, () => ({ duplicate: false, id: 'e', status: 'queued', reason: null })));
  for (let second = 0; second < 60; second += 1) {
    for (let n = 0; n < 5; n += 1) activity.attempted(attempt);
    nowMs += 1000;
  }
  t.strictSame(activity.rates(), { calls: 5, drained: 10 });
  activity.attempted({ ...attempt, calls: 1000 });
  t.strictSame(activity.rates(), { calls: 5, drained: 10 }, 'the running second is not over');
  activity.kept(Array.from({ length: 60 }, () => ({ duplicate: false, id: 'e', status: 'queued', reason: null })));
  nowMs += 1000;
  t.ok(activity.rates().drained < 10, 'what arrives lengthens the backlog');
  nowMs += 31_000;
  t.strictSame(activity.rates(), { calls: 0, drained: 0 });
  t.match(activity.minutes().slice(-2), [
    { accepted: 50, delivered: 600, calls: 300 },
    { accepted: 60, delivered: 2 },
  ]);
  nowMs += 3_600_000;
  t.ok(activity.minutes().every(({ delivered, accepted }) => delivered + accepted === 0));
});
