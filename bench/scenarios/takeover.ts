import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from '../../src/simulator/simulator.ts';
import { startPostgres } from '../../test/postgres.ts';
import type { Bench } from '../bench.ts';
import { trackEvents } from '../events.ts';
import { openLoop } from '../load.ts';
import { durable } from '../postgres.ts';
import { until } from '../processes.ts';
import { percentile } from '../report.ts';
import { type Service, startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

const users = 200;
const perSecond = 200; // one event of each person a second
const latencyMs = 100; // so that a replica always holds some people

/** One of three replicas is killed while it delivers: how long its people stand still. */
export async function takeover({ stage, report, quick }: Bench): Promise<void> {
  const server = await startPostgres({ settings: durable });
  report.title('takeover', `one of three replicas is killed; ${perSecond} events/s, ${latencyMs} ms a call`);
  const [longest, usual]: [number[], number[]] = [[], []];
  try {
    for (let round = 0; round < (quick ? 1 : 5); round += 1) {
      const database = await server.newDatabase();
      const simulator = await startSimulator(stage, { limitPerMinute: Infinity, latencyMs });
      const services: Service[] = [];
      for (let n = 0; n < 3; n += 1) services.push(await startService(stage, { simulator, database }));
      const [one, other, victim] = services;
      const seconds = 16;
      const next = trackEvents({ users });
      const load = [one!, other!].map(({ url }) => openLoop({ url, body: next, seconds, perSecond: perSecond / 2 }));
      await delay(6000);
      const killedAtMs = Date.now();
      await victim!.child.kill();
      for (const { statuses } of await Promise.all(load))
        if (statuses.size !== 1 || !statuses.has(202)) throw new Error(`answers: ${[...statuses].join(' ')}`);
      await until('all is delivered', one!.child, async () => ((await one!.ledger()).queued === 0 ? true : undefined), {
        everyMs: 100,
      });
      const still = standstills(await simulator.calls(0), killedAtMs);
      longest.push(Math.max(...still.values()) / 1000);
      usual.push(percentile(Float64Array.from(still.values()).toSorted(), 50) / 1000);
      await stage.clear();
    }
    report.figure({
      name: 'until the next event of each person, longest',
      unit: 's',
      values: longest,
      target: { atMost: 6 },
    });
    report.figure({ name: 'the same of the median person, of whom one comes a second', unit: 's', values: usual });
  } finally {
    await stage.clear();
    await server.close();
  }
}

/** From the kill to the next timeline event of each person, ms. */
function standstills(calls: Call[], killedAtMs: number): Map<string, number> {
  const still = new Map<string, number>();
  for (const { at, endpoint, requestBody, committed } of calls) {
    const userId = typeof requestBody === 'object' && requestBody && 'user_id' in requestBody && requestBody.user_id;
    if (endpoint !== 'POST /events' || !committed || at < killedAtMs || typeof userId !== 'string') continue;
    if (!still.has(userId)) still.set(userId, at - killedAtMs);
  }
  if (still.size !== users) throw new Error(`${still.size} of ${users} people had an event after it`);
  return still;
}
