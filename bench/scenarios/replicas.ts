import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '../../test/postgres.ts';
import type { Bench } from '../bench.ts';
import { backlogEvents, inBatches, trackEvents } from '../events.ts';
import { closedLoop, type Round } from '../load.ts';
import { durable } from '../postgres.ts';
import { processorSecondsOfFamily, until } from '../processes.ts';
import { queueEvents, type Service, startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

/** To each replica: groups are as large as what waits at one of them. */
const connections = 64;
/** Code that has not run often is not compiled yet: so many of each replica are not counted. */
const warmUpRequests = 3000;
const windowMs = 10_000;

type Setup = { name: string; replicas: number; database: string | undefined };
type Open = (replicas: number) => Promise<Setup>;

/** PostgreSQL with one replica and several beside SQLite, in one run, the server on the same two cores. */
export async function replicas(bench: Bench): Promise<void> {
  const server = await startPostgres({ settings: durable });
  const counts = process.env.BENCH_REPLICAS?.split(',').map(Number) ?? [1, 3];
  const open: Open = async (count) => ({
    name: count === 0 ? 'SQLite' : `PostgreSQL, ${count} replica${count > 1 ? 's' : ''}`,
    replicas: Math.max(1, count),
    database: count === 0 ? undefined : await server.newDatabase(),
  });
  try {
    await idleCost(bench, open, counts, server.pid);
    await ingestRates(bench, open, [0, ...counts]);
    await drainRates(bench, open, [0, ...counts]);
  } finally {
    await bench.stage.clear();
    await server.close();
  }
}

/** How much of Intercom's limit three replicas use together. */
export async function sharedQuota(bench: Bench): Promise<void> {
  const server = await startPostgres({ settings: durable });
  try {
    await quotaUse(bench, { name: 'three replicas', replicas: 3, database: await server.newDatabase() });
  } finally {
    await bench.stage.clear();
    await server.close();
  }
}

async function startAll({ stage }: Bench, setup: Setup, options: { limitPerMinute?: number; refusing?: boolean } = {}) {
  const simulator = await startSimulator(stage, options);
  const ready = options.refusing ? '/readyz?only=store' : '/readyz';
  const services: Service[] = [];
  for (let n = 0; n < setup.replicas; n += 1)
    services.push(
      await startService(stage, {
        simulator,
        ready,
        ...(setup.database !== undefined && { database: setup.database }),
      }),
    );
  return { simulator, services };
}

async function idleCost({ stage, report, quick }: Bench, open: Open, counts: number[], server: () => number) {
  report.title('replicas', 'processor time while nothing happens');
  const seconds = quick ? 5 : 20;
  for (const count of counts) {
    const setup = await open(count);
    const { services } = await startAll({ stage, report, quick }, setup);
    await delay(5000); // what a start has to do is over
    const used = (): [number, number] => [
      processorSecondsOfFamily(server()),
      services.reduce((sum, { child }) => sum + child.processorSeconds(), 0),
    ];
    const [serverBefore, servicesBefore] = used();
    await delay(seconds * 1000);
    const [serverAfter, servicesAfter] = used();
    const share = (after: number, before: number): number => ((after - before) / seconds) * 100;
    report.figure({
      name: `${setup.name}: of the server`,
      unit: '% of a core',
      values: [share(serverAfter, serverBefore)],
    });
    report.figure({
      name: `${setup.name}: of each replica`,
      unit: '% of a core',
      values: [share(servicesAfter, servicesBefore) / count],
    });
    await stage.clear();
  }
}

async function ingestRates(bench: Bench, open: Open, counts: number[]): Promise<void> {
  const { stage, report, quick } = bench;
  for (const perRequest of [1, 100]) {
    report.title(
      'replicas',
      `durable 202, ${perRequest} event${perRequest > 1 ? 's' : ''} a request, ${connections} connections to each replica`,
    );
    const rates = new Map<string, number[]>();
    for (let round = 0; round < (quick ? 1 : 3); round += 1) {
      for (const count of counts) {
        const setup = await open(count);
        const { services } = await startAll(bench, setup);
        const rate = await loadAll(services, perRequest, quick ? 3 : 10);
        rates.set(setup.name, [...(rates.get(setup.name) ?? []), rate]);
        await stage.clear();
      }
    }
    for (const [name, values] of rates) report.figure({ name, unit: 'events/s', values });
  }
}

async function loadAll(services: Service[], perRequest: number, seconds: number): Promise<number> {
  await load(services, perRequest, { requests: perRequest === 1 ? warmUpRequests : warmUpRequests / 20 });
  const before = (await services[0]!.ledger()).accepted;
  const startedAt = performance.now();
  const rounds = await load(services, perRequest, { seconds });
  const elapsed = (performance.now() - startedAt) / 1000;
  const confirmed = rounds.reduce((sum, { statuses }) => sum + (statuses.get(202) ?? 0), 0) * perRequest;
  const kept = (await services[0]!.ledger()).accepted - before;
  if (kept < confirmed) throw new Error(`${confirmed} events were answered with 202, and ${kept} are in the ledger`);
  return confirmed / elapsed;
}

function load(
  services: Service[],
  perRequest: number,
  length: { seconds: number } | { requests: number },
): Promise<Round[]> {
  // One for all: with one each, all replicas would meet the same people at the same time.
  const one = trackEvents({ users: 10_000 });
  const body = perRequest === 1 ? one : inBatches(one, perRequest);
  return Promise.all(services.map(({ url }) => closedLoop({ url, connections, body, ...length })));
}

async function drainRates(bench: Bench, open: Open, counts: number[]): Promise<void> {
  const { stage, report, quick } = bench;
  const [events, users] = quick ? [4000, 1000] : [20_000, 5000];
  report.title('replicas', `${events} queued events of ${users} users, no quota, Intercom answers at once`);
  for (const count of counts) {
    const setup = await open(count);
    const { simulator, services } = await startAll(bench, setup, { limitPerMinute: Infinity, refusing: true });
    await queueEvents(services[0]!, { events, users });
    const before = await simulator.count();
    await simulator.acceptToken();
    const [service] = services;
    await until(
      'all is delivered',
      service!.child,
      async () => ((await service!.ledger()).queued === 0 ? true : undefined),
      { everyMs: 200, withinMs: 240_000 },
    );
    await delay(50);
    const calls = (await simulator.calls(before)).filter(({ method, status }) => method !== 'GET' && status !== 401);
    report.figure({
      name: setup.name,
      unit: 'calls/s',
      values: [(calls.length * 1000) / (calls.at(-1)!.at - calls[0]!.at)],
    });
    await stage.clear();
  }
}

async function quotaUse(bench: Bench, setup: Setup): Promise<void> {
  const { stage, report, quick } = bench;
  const windows = quick ? 2 : 4;
  const perWindow = 600;
  report.title('replicas', `a backlog of ${setup.name} against ${perWindow} calls in 10 s, ${windows} full windows`);
  // The others join when the backlog is there: three that begin at it would keep the sender from the database.
  const { simulator, services } = await startAll(bench, { ...setup, replicas: 1 }, { limitPerMinute: perWindow * 6 });
  const body = inBatches(backlogEvents({ users: 1000 }), 100);
  await closedLoop({
    url: services[0]!.url,
    connections: 2,
    body,
    requests: Math.ceil(((windows + 4) * perWindow) / 100),
  });
  for (let n = 1; n < setup.replicas; n += 1)
    services.push(await startService(stage, { simulator, ...(setup.database && { database: setup.database }) }));
  const first = Math.floor(Date.now() / windowMs) + 2; // the first whole one may still learn the limit
  await until(
    'the windows are over',
    services[0]!.child,
    async () => (Date.now() > (first + windows) * windowMs ? true : undefined),
    {
      everyMs: 100,
      withinMs: (windows + 3) * windowMs,
    },
  );
  const calls = await simulator.calls(0);
  const shares = Array.from({ length: windows }, (_, n) => {
    const sent = calls.filter(({ at, status }) => status !== 429 && Math.floor(at / windowMs) === first + n);
    return (sent.length / perWindow) * 100;
  });
  const refused = calls.filter(({ status }) => status === 429).length;
  report.figure({ name: "used of a window's limit", unit: '%', values: shares, target: { atLeast: 95 } });
  report.figure({ name: 'answers 429', unit: '%', values: [(refused / calls.length) * 100], target: { atMost: 0.5 } });
  await stage.clear();
}
