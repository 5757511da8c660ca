import { setTimeout as delay } from 'node:timers/promises';
import type { Call } from '../../src/simulator/simulator.ts';
import type { Bench } from '../bench.ts';
import { until } from '../processes.ts';
import { queueEvents, startService } from '../service.ts';
import { type IntercomSimulator, startSimulator } from '../simulator.ts';

/** How fast a backlog leaves when Intercom sets no limit and answers at once. */
export async function drain(bench: Bench): Promise<void> {
  const { report, quick } = bench;
  const [events, users] = quick ? [4000, 1000] : [20_000, 5000];
  report.title('drain', `${events} queued events of ${users} users, no quota, Intercom answers at once`);
  const rates: number[] = [];
  for (let n = 0; n < (quick ? 1 : 3); n += 1) rates.push(await drainOnce(bench, { events, users }));
  report.figure({ name: 'from the first call to the last', unit: 'calls/s', values: rates, target: { atLeast: 2000 } });
}

async function drainOnce({ stage }: Bench, size: { events: number; users: number }): Promise<number> {
  const simulator = await startSimulator(stage, { limitPerMinute: Infinity, refusing: true });
  const service = await startService(stage, { simulator, ready: '/readyz?only=store' });
  await queueEvents(service, size);
  const before = await simulator.count();
  await simulator.acceptToken();
  // The hold is probed 5, 15, 35 … seconds after the start: the clock runs from the first delivery.
  const first = await until(
    'the first delivery',
    service.child,
    async () => (await simulator.calls(before)).find(isDelivery),
    {
      everyMs: 100,
      withinMs: 90_000,
    },
  );
  await until(
    'all is delivered',
    service.child,
    async () => ((await service.ledger()).queued === 0 ? true : undefined),
    {
      everyMs: 200,
      withinMs: 180_000,
    },
  );
  await delay(50);
  const last = (await simulator.calls((await simulator.count()) - 100)).findLast(isDelivery);
  const deliveries = await verify(simulator, size);
  await stage.clear();
  if (!last) throw new Error('the last call is not in the record');
  return (deliveries * 1000) / (last.at - first.at);
}

function isDelivery({ method, status }: Call): boolean {
  return method !== 'GET' && status !== 401;
}

async function verify(
  simulator: IntercomSimulator,
  { events, users }: { events: number; users: number },
): Promise<number> {
  const { eventsStored, contacts, duplicatesIgnored, endpoints } = await simulator.summary();
  if (eventsStored !== events - users || contacts !== users || duplicatesIgnored > 0) {
    throw new Error(
      `${events - users} events and ${users} contacts were expected: ${eventsStored} and ${contacts} arrived, ${duplicatesIgnored} twice`,
    );
  }
  return Object.entries(endpoints).reduce(
    (sum, [endpoint, count]) => sum + (endpoint.startsWith('GET ') ? 0 : count),
    0,
  );
}
