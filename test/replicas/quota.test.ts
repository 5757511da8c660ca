import t, { type Test } from 'tap';
import { createIntercomClient } from '../../src/intercom/client.ts';
import type { QuotaAsk } from '../../src/intercom/quota-pool.ts';
import { createRateLimiter } from '../../src/intercom/rate-limiter.ts';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { migrations } from '../../src/queue/postgres/migrations.ts';
import { openPostgresQuota } from '../../src/replicas/quota.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { type PostgresServer, startPostgres } from '../postgres.ts';
import { until } from '../service.ts';

const windowMs = 10_000;
const limit = 120; // in a window
const senders = 12; // of each replica
const ours = 'demo-token';
let postgres: PostgresServer;

t.before(async () => (postgres = await startPostgres()));
t.teardown(() => postgres.close());

/** An Intercom whose clock says that a window began so long ago, and replicas with an endless backlog each. */
async function setUp(t: Test, options: { replicas: number; windowAgeMs: number }) {
  const url = await postgres.newDatabase();
  const databases = Array.from({ length: options.replicas }, () => openDatabase(url, { connections: 1 }));
  t.teardown(() => Promise.all(databases.map((db) => db.close())));
  for (const migration of migrations) await databases[0]!.query(migration);
  const aheadMs = options.windowAgeMs - (Date.now() % windowMs);
  const now = (): number => Date.now() + aheadMs;
  const simulator = await startSimulator({ now, limitPerMinute: limit * 6, latencyMs: 20, tokens: [ours] });
  t.teardown(() => simulator.close());
  const ending = new AbortController();
  const patience = { stop: ending.signal, abort: ending.signal };

  const asked = databases.map((db, n) => {
    const asks: QuotaAsk[] = [];
    const shared = openPostgresQuota(db, 'default');
    const client = createIntercomClient({
      target: () => ({ baseUrl: simulator.url, accessToken: ours }),
      version: '2.11',
      connections: senders,
      limiter: createRateLimiter({ share: 1, pool: { take: (ask) => (asks.push(ask), shared.take(ask)) } }),
    });
    const send = async (): Promise<void> => {
      while (!ending.signal.aborted) await client.call({ method: 'GET', path: `/me?replica=${n}`, patience });
    };
    const sending = Promise.allSettled(Array.from({ length: senders }, send));
    t.teardown(async () => {
      ending.abort();
      await sending;
      await client.close();
    });
    return asks;
  });
  const firstWindow = Math.floor(now() / windowMs);
  const callsIn = (window: number) =>
    simulator.calls.filter(({ at }) => Math.floor(at / windowMs) === firstWindow + window);
  return { simulator, asked, callsIn, elapsedMs: () => now() - firstWindow * windowMs };
}

t.test('three replicas use a window up together, and not a call more', async (t) => {
  const { callsIn, asked, elapsedMs } = await setUp(t, { replicas: 3, windowAgeMs: 5000 });
  await until('the window after the first has ended', () => elapsedMs() > 2 * windowMs + 200, 20_000);
  const calls = callsIn(1);
  const used = calls.filter(({ status }) => status === 200).length;
  t.ok(used >= 0.95 * limit, `${used} of ${limit} calls`);
  t.ok(calls.length - used <= 0.005 * limit, `${calls.length - used} refused`);
  const shares = [0, 1, 2].map((n) => calls.filter(({ path }) => path.endsWith(`=${n}`)).length);
  t.ok(Math.min(...shares) > limit / 20, `each has its part: ${shares.join(', ')}`);
  const early = calls.filter(({ at }) => at % windowMs < windowMs / 4).length;
  t.ok(early < 0.9 * limit, `they keep the pace together: ${early} in the first quarter`);
  const asks = asked.map((each) => each.length);
  t.ok(Math.max(...asks) < 150, `a few questions a second: ${asks.join(', ')} in 15 s`);
});

t.test('a 429 that one of them gets stops all until the window ends', async (t) => {
  const { simulator, callsIn, elapsedMs } = await setUp(t, { replicas: 3, windowAgeMs: 4000 });
  await until('they are at work', () => [0, 1, 2].every((n) => callsIn(0).some(({ path }) => path.endsWith(`=${n}`))));
  simulator.inject({ kind: 'rate_limited', times: 1 });
  const limited = await until('one is refused', () => simulator.calls.find(({ status }) => status === 429));
  const before = callsIn(0).length;
  t.ok(before < limit, 'although calls remain');
  await until('the window has ended, and all go on', () => elapsedMs() > windowMs && callsIn(1).length > 20);
  const late = callsIn(0).filter(({ at }) => at > limited.at + 1000).length;
  t.equal(late, 0, 'none a second after it');
});

t.test('a window is given out once', async (t) => {
  const db = openDatabase(await postgres.newDatabase(), { connections: 8 });
  t.teardown(() => db.close());
  for (const migration of migrations) await db.query(migration);
  const pools = Array.from({ length: 8 }, () => openPostgresQuota(db, 'default'));
  const ask = { window: 7, nowMs: 75_000, want: 10, upTo: 100, counted: 0, pausedUntilMs: 0, limitedWindow: -1 };
  const granted = async (more: Partial<QuotaAsk>): Promise<unknown> =>
    (await pools[0]!.take({ ...ask, ...more }))?.granted;

  const shares = await Promise.all(Array.from({ length: 24 }, (_, n) => pools[n % 8]!.take(ask)));
  t.equal(
    shares.reduce((sum, share) => sum + (share?.granted ?? 0), 0),
    100,
    'by many who ask at once',
  );
  t.equal(await granted({ window: 8, counted: 95 }), 5, 'but for what others took, by the count of Intercom');
  const behind = await pools[1]!.take({ ...ask, nowMs: 70_000 });
  t.match(behind, { window: 8, granted: 0 }, 'who is behind hears of it');
  t.ok(behind!.nowMs >= 75_000, 'and of the time');
  t.match(await pools[1]!.take({ ...ask, window: 8, want: 0, pausedUntilMs: 90_000, limitedWindow: 8 }), {
    granted: 0,
  });
  t.match(await pools[2]!.take({ ...ask, window: 9 }), { granted: 10, pausedUntilMs: 90_000, limitedWindow: 8 });
  t.equal(await granted({ window: 5000, pausedUntilMs: 50_000_000 }), 10, 'a clock that is wrong');
  t.match(
    await pools[3]!.take({ ...ask, window: 10 }),
    { window: 10, granted: 10, pausedUntilMs: 0 },
    'is not believed',
  );
});

t.test('without the database nobody sends more than was granted', async (t) => {
  const patient = new AbortController();
  let isThere = true;
  let inVain = 0;
  const used = { calls: 0 };
  const limiter = createRateLimiter({
    share: 1,
    pool: {
      async take({ window, want }) {
        if (isThere)
          return { window, nowMs: 0, granted: want, used: (used.calls += want), pausedUntilMs: 0, limitedWindow: -1 };
        inVain += 1;
        return null;
      },
    },
  });
  await limiter.take(patient.signal);
  limiter.learn({ limit, isTelling: true, tookMs: 0, limited: false });
  await Promise.all(Array.from({ length: 5 }, () => limiter.take(patient.signal)));
  isThere = false;
  let gone = 0;
  const waiting = Array.from({ length: 50 }, () => limiter.take(patient.signal).then(() => (gone += 1)));
  const failed = Promise.allSettled(waiting);
  await until('the database was asked in vain, and again', () => inVain >= 2);
  t.equal(gone, 0);
  isThere = true;
  await until('it goes on when the database is back', () => gone > 0);
  patient.abort();
  await failed;
});
