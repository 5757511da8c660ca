import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '../../test/postgres.ts';
import type { Bench } from '../bench.ts';
import { type Stage, until } from '../processes.ts';
import { queueEvents, type Service, startService } from '../service.ts';
import { durable } from '../postgres.ts';
import { type IntercomSimulator, startSimulator } from '../simulator.ts';

const ready = '/readyz?only=store';
const targetMb = 256;

/** A restart with a million queued events, one of each person: what takes the most memory. */
export async function backlog(bench: Bench): Promise<void> {
  await restart(bench, 'SQLite', { folder: bench.stage.folder() });
}

/** The same where PostgreSQL keeps them, on the same cores. */
export async function sharedBacklog(bench: Bench): Promise<void> {
  const server = await startPostgres({ settings: durable });
  try {
    await restart(bench, 'PostgreSQL', { database: await server.newDatabase() });
  } finally {
    await bench.stage.clear();
    await server.close();
  }
}

type Where = { folder: string } | { database: string };

async function restart({ stage, report, quick }: Bench, engine: string, where: Where): Promise<void> {
  const events = quick ? 100_000 : 1_000_000;
  const drainSeconds = quick ? 5 : 30;
  report.title('backlog', `${engine}: a restart with ${events} queued events of as many people, warm page cache`);
  const simulator = await startSimulator(stage, { limitPerMinute: Infinity, refusing: true });
  const queuedPerSecond = await fill(stage, simulator, where, events);
  await simulator.acceptToken();

  const before = await simulator.count();
  const service = await startService(stage, { simulator, ...where, ready });
  const secondsSinceStart = (): number => (performance.now() - service.child.startedAtMs) / 1000;
  const storesAfter = secondsSinceStart();
  const atReady = service.memory();
  await until('the first delivery', service.child, async () =>
    (await simulator.calls(before)).some(({ method }) => method !== 'GET') ? true : undefined,
  );
  const deliversAfter = secondsSinceStart();
  const since = await service.ledger();
  const whileDraining = await memoryFor(service, drainSeconds);
  const now = await service.ledger();
  if (now.accepted !== events || now.dead > 0 || now.delivered + now.queued !== events) {
    throw new Error(`${events} events were queued, and the ledger says ${JSON.stringify(now)}`);
  }

  report.figure({ name: 'queued, in batches of 1000', unit: 'events/s', values: [queuedPerSecond] });
  report.figure({ name: 'able to store after', unit: 's', values: [storesAfter], target: { atMost: 5 } });
  report.figure({ name: 'first delivery after', unit: 's', values: [deliversAfter] });
  report.figure({ name: 'resident memory when able to store', unit: 'MB', values: [atReady?.nowMb ?? Number.NaN] });
  report.figure({ name: `resident memory in ${drainSeconds} s of draining`, unit: 'MB', values: whileDraining });
  const highest = service.memory()?.peakMb ?? Number.NaN;
  report.figure({ name: 'highest of all', unit: 'MB', values: [highest], target: { atMost: targetMb } });
  const rate = (now.delivered - since.delivered) / drainSeconds;
  report.figure({ name: 'delivered meanwhile', unit: 'events/s', values: [rate] });
  await stage.clear();
}

async function fill(stage: Stage, simulator: IntercomSimulator, where: Where, events: number): Promise<number> {
  const service = await startService(stage, { simulator, ...where, ready });
  const startedAtMs = performance.now();
  await queueEvents(service, { events, users: events });
  const seconds = (performance.now() - startedAtMs) / 1000;
  await service.child.end();
  return events / seconds;
}

async function memoryFor(service: Service, seconds: number): Promise<number[]> {
  const samples: number[] = [];
  for (let n = 0; n < seconds * 2; n += 1) {
    await delay(500);
    samples.push(service.memory()?.nowMb ?? Number.NaN);
  }
  return samples;
}
