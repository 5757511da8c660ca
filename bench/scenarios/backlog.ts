import { setTimeout as delay } from 'node:timers/promises';
import { queueEvents } from '../backlog.ts';
import type { Bench } from '../bench.ts';
import { until } from '../processes.ts';
import { type Service, startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

/** A restart with a million queued events, one of each person: what takes the most memory. */
export async function backlog({ stage, report, quick }: Bench): Promise<void> {
  const events = quick ? 100_000 : 1_000_000;
  const drainSeconds = quick ? 5 : 30;
  report.title('backlog', `a restart with ${events} queued events of as many people, warm page cache`);
  const folder = stage.folder();
  const simulator = await startSimulator(stage, { limitPerMinute: Infinity, refusing: true });
  const held = await startService(stage, { simulator, folder, ready: '/readyz?only=store' });
  const queueingSince = performance.now();
  await queueEvents(held, { events, users: events });
  report.note(`queued in ${Math.round((performance.now() - queueingSince) / 1000)} s, batches of 1000, 4 connections`);
  await held.child.end();
  await simulator.acceptToken();

  const before = await simulator.count();
  const service = await startService(stage, { simulator, folder, ready: '/readyz?only=store' });
  const { startedAtMs } = service.child;
  const readyAfter = (performance.now() - startedAtMs) / 1000;
  const atReady = service.memory();
  const { queued } = await service.ledger();
  const ledgerAtReady = queued;
  await until('the first delivery', service.child, async () =>
    (await simulator.calls(before)).some(({ method }) => method === 'POST') ? true : undefined,
  );
  const firstAfter = (performance.now() - startedAtMs) / 1000;
  const whileDraining = await memoryFor(service, drainSeconds);
  const left = (await service.ledger()).queued;
  if (ledgerAtReady + (await service.ledger()).delivered < events || left >= ledgerAtReady)
    throw new Error(`${events} were queued: ${ledgerAtReady} after the restart, ${left} later`);

  report.figure({ name: 'able to store after', unit: 's', values: [readyAfter], target: { atMost: 5 } });
  report.figure({ name: 'first delivery after', unit: 's', values: [firstAfter] });
  report.figure({ name: 'resident memory when able to store', unit: 'MB', values: [atReady?.nowMb ?? Number.NaN] });
  report.figure({
    name: 'highest until then',
    unit: 'MB',
    values: [atReady?.peakMb ?? Number.NaN],
    target: { atMost: 256 },
  });
  report.figure({
    name: `resident memory in ${drainSeconds} s of draining`,
    unit: 'MB',
    values: whileDraining,
    target: { atMost: 256 },
  });
  report.figure({
    name: 'highest of all',
    unit: 'MB',
    values: [service.memory()?.peakMb ?? Number.NaN],
    target: { atMost: 256 },
  });
  report.figure({ name: 'delivered meanwhile', unit: 'events/s', values: [(ledgerAtReady - left) / drainSeconds] });
  await stage.clear();
}

async function memoryFor(service: Service, seconds: number): Promise<number[]> {
  const samples: number[] = [];
  for (let n = 0; n < seconds * 2; n += 1) {
    await delay(500);
    samples.push(service.memory()?.nowMb ?? Number.NaN);
  }
  return samples;
}
