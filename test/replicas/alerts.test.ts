import pino from 'pino';
import t, { type Test } from 'tap';
import { createAlerts, type Notice } from '../../src/alerts/alerts.ts';
import { findCauses, type InstallationSnapshot, type Snapshot } from '../../src/alerts/causes.ts';
import { openAlerts } from '../../src/alerts/open.ts';
import { QueueUnavailable } from '../../src/queue/queue.ts';
import type { Replicas } from '../../src/replicas/replicas.ts';
import { until } from '../service.ts';
import { closeServer, openTogether } from './together.ts';

t.teardown(closeServer);

const minuteMs = 60_000;
const timing = { leaseMs: 400, beatMs: 50 };
const wellInstallation: InstallationSnapshot = {
  id: 'default',
  gate: { kind: 'open' },
  isPaused: false,
  flow: { accepted: 0, queued: 0, oldestQueuedAtMs: null },
  dead: new Map(),
};
const tokenInvalid: InstallationSnapshot['gate'] = {
  kind: 'held',
  reason: 'token_invalid',
  message: 'Intercom does not accept the access token',
  remedy: 'copy it anew',
  mendsItself: false,
};

t.test('of several replicas one tells of a cause; who takes over from it tells the end', async (t) => {
  const { open, crash } = await openTogether(t);
  const [first, second] = [await open({ timing }), await open({ timing })];
  const told: string[] = [];
  const world: World = { atMs: Date.now(), gate: tokenInvalid };
  const [one, two] = [watch(t, first, world, told), watch(t, second, world, told)];
  one.alerts.start();
  await until('it is told', () => told.length > 0);
  two.alerts.start();
  await until('the other one has had its turn in vain', () => two.tries() > 5);
  t.strictSame(told, ['hold token_invalid firing']);
  t.equal(one.alerts.causes().length, 1);
  t.strictSame(two.alerts.causes(), [], 'the holder alone shows it');

  one.alerts.stop();
  await crash(first);
  await until('the other one looks', () => two.looks() > 2);
  t.strictSame(told, ['hold token_invalid firing'], 'it knows what was told');
  t.match(two.alerts.causes(), [{ reason: 'token_invalid', isFiring: true }]);
  world.gate = { kind: 'open' };
  const from = two.looks();
  await until('it has seen that', () => two.looks() > from + 2);
  world.atMs += 2 * minuteMs;
  await until('the end is told', () => told.length === 2);
  t.strictSame(told, ['hold token_invalid firing', 'hold token_invalid resolved']);
});

t.test('that the database is away is told by who had the turn, its end too, and nothing else is', async (t) => {
  const { open } = await openTogether(t);
  const replica = await open({ timing });
  const told: string[] = [];
  let isAway = false;
  let isElsewhere = false;
  const { duty } = replica.alerts;
  const world: World = { atMs: Date.now(), gate: wellInstallation.gate };
  const fragile: Replicas = {
    ...replica,
    alerts: {
      ...replica.alerts,
      duty: {
        ...duty,
        hold: async () => {
          if (isAway) throw new QueueUnavailable('cannot_store', 'away');
          return isElsewhere ? null : duty.hold();
        },
      },
    },
  };
  const one = watch(t, fragile, world, told, () => (isAway ? { ok: false, reason: 'away' } : { ok: true }));
  one.alerts.start();
  await until('it looks', () => one.looks() > 0);
  isAway = true;
  world.gate = tokenInvalid;
  await until('it is told', () => told.length > 0);
  const from = one.looks();
  await until('it goes on looking', () => one.looks() > from + 3);
  t.strictSame(told, ['store - firing']);
  isElsewhere = true;
  isAway = false;
  await until('who has lost the turn meanwhile tells its end', () => told.length > 1);
  t.strictSame(told, ['store - firing', 'store - resolved']);
});

t.test('dead letters of all replicas are one alert, with how many', async (t) => {
  const { open } = await openTogether(t);
  const [first, second] = [await open({ timing }), await open({ timing })];
  const lines: string[] = [];
  const openOne = ({ alerts }: Replicas) => {
    const opened = openAlerts({
      settings: { webhookUrl: null, backlogMs: minuteMs, silenceMs: null },
      path: '/nowhere/at/all',
      shared: alerts,
      everyMs: 20,
      log: pino({ base: null }, { write: (line: string) => void lines.push(line) }),
      look: async () => ({ atMs: Date.now(), store: { ok: true }, installations: [wellInstallation] }),
      explainDead: () => null,
      onWebhook: () => {},
    });
    t.teardown(opened.stop);
    return opened;
  };
  const [one, two] = [openOne(first), openOne(second)];
  one.died('default', 'a/b', 2);
  two.died('default', 'a/b', 3);
  await until('both are counted', async () => (await first.alerts.tally.read()).get('dead/default/a/b') === 5);
  for (const alerts of [one, two]) alerts.start();
  await until('it is told', () => lines.length > 0);
  await one.stop();
  two.died('default', 'other', 1);
  await until('the other one goes on', () => lines.length > 1);
  await two.stop();
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      { msg: 'alert.firing', reason: 'a/b', events: 5 },
      { msg: 'alert.firing', reason: 'other', events: 1 },
    ],
  );
});

type World = { atMs: number; gate: InstallationSnapshot['gate'] };

/** The alerts of a replica, at a time and on an installation that the test moves. */
function watch(
  t: Test,
  { alerts: { duty } }: Replicas,
  world: World,
  told: string[],
  store: () => Snapshot['store'] = () => ({ ok: true }),
) {
  let looks = 0;
  let tries = 0;
  const alerts = createAlerts({
    look: async () => {
      looks += 1;
      return { atMs: world.atMs, store: store(), installations: [{ ...wellInstallation, gate: world.gate }] };
    },
    find: (now, before) => findCauses(now, before, { backlogMs: minuteMs, silenceMs: null }, () => null),
    tell: ({ alert, reason, state }: Notice) => told.push(`${alert} ${reason ?? '-'} ${state}`),
    memory: { read: () => [], write: () => t.fail('no file is written') },
    duty: {
      ...duty,
      hold: () => {
        tries += 1;
        return duty.hold();
      },
    },
    onError: (error) => {
      throw error;
    },
    everyMs: 5,
  });
  t.teardown(alerts.stop);
  return { alerts, looks: () => looks, tries: () => tries };
}
