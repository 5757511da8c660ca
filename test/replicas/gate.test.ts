import { mock } from 'node:test';
import t, { type Test } from 'tap';
import type { GateState, Probe } from '../../src/dispatch/gate.ts';
import { createSharedGate, type GateStore } from '../../src/dispatch/shared-gate.ts';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { migrations } from '../../src/queue/postgres/migrations.ts';
import { openPostgresGates } from '../../src/replicas/gates.ts';
import { startPostgres } from '../postgres.ts';

const well = { ok: true } as const;
const refused = { ok: false, reason: 'token_invalid', message: 'refused', remedy: 'another token' } as const;
const unreachable: Probe = { ok: false, reason: 'unreachable', message: 'no answer', remedy: 'wait' };
const never = new Promise<Probe>(() => {});

/** Replicas on a clock of the test's, and the store between them. */
function setUp(t: Test, replicas: number) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_772_029_800_000 });
  t.teardown(() => mock.timers.reset());
  const kept = new Map<string, { version: number; state: string }>();
  const world: { isReachable: boolean; intercom: Probe; target: string } = {
    isReachable: true,
    intercom: well,
    target: 'first',
  };
  const store: GateStore = {
    look: async (target) =>
      world.isReachable ? { ...(kept.get(target) ?? { version: 0, state: null }), nowMs: Date.now() } : null,
    async put(target, version, state) {
      if (!world.isReachable || (kept.get(target)?.version ?? 0) !== version) return false;
      kept.set(target, { version: version + 1, state });
      return true;
    },
  };
  const all = Array.from({ length: replicas }, () => {
    const told: GateState[] = [];
    const own: { answer: Probe | Promise<Probe> | null; target: string | null } = { answer: null, target: null };
    let probes = 0;
    const gate = createSharedGate({
      store,
      target: () => own.target ?? world.target,
      probe: async () => {
        probes += 1;
        return own.answer ?? world.intercom;
      },
      explain: (reason) => ({ message: reason, remedy: 'wait' }),
      onChange: (state) => told.push(state),
    });
    t.teardown(gate.stop);
    return { gate, told, own, probes: () => probes };
  });
  const probed = (): number => all.reduce((sum, { probes }) => sum + probes(), 0);
  const open = (): boolean[] => all.map(({ gate }) => gate.isOpen());

  async function start(): Promise<void> {
    for (const { gate } of all) gate.start();
    await turn();
  }
  return { all, world, start, probed, open, first: all[0]!, second: all[1]!, third: all[2]! };
}

async function pass(ms: number): Promise<void> {
  for (let n = 0; n < ms; n += 100) {
    mock.timers.tick(100);
    await turn();
  }
}

async function turn(): Promise<void> {
  for (let n = 0; n < 50; n += 1) await Promise.resolve();
}

t.test('each asks once for itself at its start, and is closed until the answer', async (t) => {
  const { start, open, probed } = setUp(t, 3);
  t.strictSame(open(), [false, false, false]);
  await start();
  t.strictSame(open(), [true, true, true]);
  await pass(60_000);
  t.equal(probed(), 3);
});

t.test('a hold at one closes all within a second, one at a time probes, and all open when it is well', async (t) => {
  const { all, first, world, start, open, probed } = setUp(t, 3);
  await start();
  world.intercom = refused;
  first.gate.hold('token_invalid');
  t.strictSame(open(), [false, true, true], 'at once where it was found');
  await pass(1000);
  t.strictSame(open(), [false, false, false]);
  const states = all.map(({ gate }) => gate.state());
  t.strictSame(states[1], states[0], 'and all say the same');
  t.match(states[2], { reason: 'token_invalid', message: 'token_invalid', sinceMs: 1_772_029_800_000 });
  await pass(60_000);
  t.ok(probed() - 3 >= 3 && probed() - 3 <= 4, `${probed() - 3} probes in a minute, by all together`);
  t.ok(all.filter(({ probes }) => probes() > 1).length > 1, 'who asked in vain leaves the next one to another');
  world.intercom = well;
  const before = probed();
  await pass(62_000);
  t.equal(probed() - before, 1);
  t.strictSame(open(), [true, true, true]);
  for (const { told } of all) {
    t.strictSame(
      told.map((state) => (state.open ? 'open' : state.reason)),
      ['open', 'token_invalid', 'open'],
    );
  }
});

t.test('failures in a row at one close all', async (t) => {
  const { second, start, open } = setUp(t, 3);
  await start();
  for (let n = 0; n < 4; n += 1) second.gate.failed('server_error');
  second.gate.succeeded();
  for (let n = 0; n < 4; n += 1) second.gate.failed('server_error');
  await pass(600);
  t.strictSame(open(), [true, true, true]);
  second.gate.failed('server_error');
  await pass(600);
  t.strictSame(open(), [false, false, false]);
  await pass(5500);
  t.strictSame(open(), [true, true, true]);
});

t.test('who dies while it probes is replaced; who only waits long for an answer is not', async (t) => {
  const { all, first, second, third, start, open } = setUp(t, 3);
  await start();
  for (const { own } of [second, third]) own.answer = never;
  first.gate.hold('token_invalid');
  await pass(30_000);
  const asking = [second, third].filter(({ probes }) => probes() === 2);
  t.equal(asking.length, 1, 'one asks, and keeps its turn');
  t.equal(first.probes(), 1);
  asking[0]!.gate.stop();
  await pass(4000);
  t.strictSame(all.map(({ probes }) => probes()).sort(), [1, 1, 2], 'its turn lasts on for a moment');
  for (const { own } of [second, third]) own.answer = null;
  await pass(1500);
  t.equal(
    all.reduce((sum, { probes }) => sum + probes(), 0),
    5,
    'another one has taken it over',
  );
  t.equal(open().filter(Boolean).length, 2, 'and those that live are open');
});

t.test('the time between probes grows until a delivery shows that it is well', async (t) => {
  const { first, second, start, probed } = setUp(t, 2);
  await start();
  const untilOpen = async (): Promise<number> => {
    let ms = 0;
    for (; !first.gate.isOpen() || !second.gate.isOpen(); ms += 100) await pass(100);
    return ms;
  };
  first.gate.hold('plan_restricted');
  t.ok((await untilOpen()) < 6000);
  first.gate.hold('plan_restricted');
  t.ok((await untilOpen()) > 9000);
  second.gate.succeeded();
  await turn();
  first.gate.hold('plan_restricted');
  t.ok((await untilOpen()) < 6000);
  t.equal(probed(), 5);
});

t.test('a replica that alone can not reach Intercom holds back nobody else', async (t) => {
  const { first, start, open } = setUp(t, 3);
  first.own.answer = unreachable;
  await start();
  t.strictSame(open(), [false, true, true]);
  t.match(first.gate.state(), { reason: 'unreachable' });
  first.own.answer = null;
  await pass(6000);
  t.strictSame(open(), [true, true, true]);
});

t.test('one that starts while all are held asks at once, and in vain postpones nothing', async (t) => {
  const { all, first, second, third, world, open } = setUp(t, 3);
  for (const { gate } of [first, second]) gate.start();
  await turn();
  world.intercom = refused;
  first.gate.hold('token_invalid');
  await pass(1000);
  third.gate.start();
  await turn();
  t.match(third.gate.state(), { reason: 'token_invalid', nextProbeAtMs: 1_772_029_805_000 });
  t.equal(third.probes(), 1);
  world.intercom = well;
  await pass(4500);
  t.strictSame(open(), [true, true, true]);
  t.ok(all.every(({ probes }) => probes() <= 2));
});

t.test('one that is started after the cause is mended opens all', async (t) => {
  const { first, second, third, world, open } = setUp(t, 3);
  for (const { gate } of [first, second]) gate.start();
  await turn();
  first.gate.hold('token_invalid');
  await turn();
  t.strictSame(open(), [false, true, false]);
  world.intercom = well;
  third.gate.start();
  await pass(1000);
  t.strictSame(open(), [true, true, true]);
  t.equal(third.probes(), 1);
  t.equal(first.probes() + second.probes(), 2, 'those of their own starts');
});

t.test('a new token opens for all who have it; those who still have the former one stay held', async (t) => {
  const { first, second, third, world, start, open } = setUp(t, 3);
  await start();
  world.intercom = refused;
  first.gate.hold('token_invalid');
  await pass(1000);
  third.own.target = 'first';
  third.own.answer = refused;
  world.target = 'second';
  world.intercom = well;
  await first.gate.ask();
  t.ok(first.gate.isOpen(), 'at once where it is asked');
  await pass(1000);
  t.strictSame(open(), [true, true, false]);
  third.own.target = null;
  third.own.answer = null;
  await pass(1000);
  t.strictSame(open(), [true, true, true]);
  t.equal(second.probes(), 2);
});

t.test('an answer about a former token is not taken for one about the new', async (t) => {
  const { first, world, start } = setUp(t, 1);
  await start();
  const late = Promise.withResolvers<Probe>();
  first.own.answer = late.promise;
  first.gate.hold('token_invalid');
  await pass(8000);
  world.target = 'second';
  first.own.answer = null;
  world.intercom = refused;
  const checked = first.gate.ask();
  late.resolve(well);
  await checked;
  t.match(first.gate.state(), { reason: 'token_invalid', message: 'refused' });
});

t.test('a check by hand opens for all, whoever has the turn to probe', async (t) => {
  const { first, second, third, start, open } = setUp(t, 3);
  await start();
  second.own.answer = never;
  third.own.answer = never;
  first.gate.hold('token_invalid');
  await pass(8000);
  await first.gate.ask();
  await pass(600);
  t.strictSame(open(), [true, true, true]);
});

t.test('a hold that the store can not take yet holds here, and is told when it can', async (t) => {
  const { first, world, start, open, probed } = setUp(t, 2);
  await start();
  world.isReachable = false;
  first.gate.hold('forbidden');
  await pass(20_000);
  t.strictSame(open(), [false, true]);
  t.equal(probed(), 2);
  world.isReachable = true;
  await pass(1000);
  t.strictSame(open(), [false, false]);
  await pass(6000);
  t.strictSame(open(), [true, true]);
});

t.test('in PostgreSQL only the newest version can be replaced, and each look says what time it is', async (t) => {
  const postgres = await startPostgres();
  t.teardown(() => postgres.close());
  const db = openDatabase(await postgres.newDatabase(), { connections: 2 });
  for (const migration of migrations) await db.query(migration);
  let queries = 0;
  const storeOf = openPostgresGates({ query: (...query) => ((queries += 1), db.query(...query)) });
  const store = storeOf('default');
  t.match(await store.look('token'), { version: 0, state: null });
  const tries = await Promise.all(['a', 'b', 'c'].map((state) => store.put('token', 0, state)));
  t.equal(tries.filter(Boolean).length, 1, 'one of three is first');
  t.ok(await store.put('token', 1, 'd'));
  t.notOk(await store.put('token', 1, 'e'));
  queries = 0;
  const [seen, other, installed] = await Promise.all([
    store.look('token'),
    store.look('another'),
    storeOf('second').look('token'),
  ]);
  t.equal(queries, 1);
  t.match(seen, { version: 2, state: 'd' });
  t.match(other, { version: 0, state: null });
  t.match(installed, { version: 0, state: null });
  t.ok(Math.abs(seen!.nowMs - Date.now()) < 60_000);
  await db.close();
  t.equal(await store.look('token'), null, 'a database that is gone is no error');
  t.equal(await store.put('token', 2, 'f'), false);
});
