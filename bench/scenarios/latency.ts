import { names } from '../against-bare.ts';
import type { Bench } from '../bench.ts';
import { trackEvents } from '../events.ts';
import { roundAtBareRoute, roundAtService } from '../ingest-round.ts';
import type { Round } from '../load.ts';

/** How long a 202 takes at half of the highest rate, from the time at which the request was due. */
export async function latency(bench: Bench): Promise<void> {
  const { report, quick } = bench;
  report.title('latency', 'the 202 of single events at half of the highest rate, open loop');
  const round = { eventsPerRequest: 1, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 3 : 20 };
  const body = (): (() => string) => trackEvents({ users: 10_000 });
  const highest =
    report.median('ingest', names.someUsers) ?? (await roundAtService(bench, { ...round, body: body() })).perSecond;
  const perSecond = Math.round(highest / 2);
  const service: Round[] = [];
  const bare: Round[] = [];
  for (let n = 0; n < (quick ? 1 : 3); n += 1) {
    bare.push(await roundAtBareRoute(bench, { ...round, perSecond, body: body() }));
    service.push(await roundAtService(bench, { ...round, perSecond, body: body() }));
  }
  report.figure({ name: 'rate', unit: '/s', values: service.map((one) => one.perSecond) });
  report.figure({ name: 'p50', unit: 'ms', values: service.map(({ p50Ms }) => p50Ms) });
  report.figure({ name: 'p99', unit: 'ms', values: service.map(({ p99Ms }) => p99Ms), target: { atMost: 25 } });
  report.figure({ name: 'longest', unit: 'ms', values: service.map(({ maxMs }) => maxMs) });
  report.figure({ name: 'p99 of the bare route at this rate', unit: 'ms', values: bare.map(({ p99Ms }) => p99Ms) });
}
