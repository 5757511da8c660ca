import autocannon from 'autocannon';
import type { Bench } from '../bench.ts';
import { trackEvents } from '../events.ts';
import { closedLoop } from '../load.ts';
import { freePort } from '../../test/free-port.ts';
import { until } from '../processes.ts';
import { answers } from '../service.ts';

/** Why the load comes from bench/load.ts: what one request costs the generator itself, which shares the cores. */
export async function generators({ stage, report, quick }: Bench): Promise<void> {
  report.title('generators', 'processor time of the load generator per request, at the bare route');
  const seconds = quick ? 2 : 8;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = stage.start('bench/bare-route.ts', { PORT: String(port) });
  await until('the bare route answers', child, () => answers(`${url}/readyz`));
  const body = trackEvents({ users: 10_000 });
  const own: Cost[] = [];
  const theirs: Cost[] = [];
  for (let n = 0; n < (quick ? 1 : 3); n += 1) {
    own.push(await cost(seconds, async () => (await closedLoop({ url, body, seconds })).statuses.get(202) ?? 0));
    theirs.push(await cost(seconds, () => withAutocannon(url, body, seconds)));
  }
  await stage.clear();
  report.figure({ name: 'bench/load.ts', unit: 'µs', values: own.map(({ microseconds }) => microseconds) });
  report.figure({ name: '  reaches', unit: '/s', values: own.map(({ perSecond }) => perSecond) });
  report.figure({ name: 'autocannon', unit: 'µs', values: theirs.map(({ microseconds }) => microseconds) });
  report.figure({ name: '  reaches', unit: '/s', values: theirs.map(({ perSecond }) => perSecond) });
}

type Cost = { microseconds: number; perSecond: number };

async function cost(seconds: number, run: () => Promise<number>): Promise<Cost> {
  const before = process.cpuUsage();
  const requests = await run();
  const { user, system } = process.cpuUsage(before);
  return { microseconds: (user + system) / requests, perSecond: requests / seconds };
}

async function withAutocannon(url: string, body: () => string, duration: number): Promise<number> {
  const result = await autocannon({
    url: `${url}/ingest`,
    connections: 64,
    duration,
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'respond-async' },
    requests: [{ setupRequest: (request) => ({ ...request, body: body() }) }],
  });
  return result['2xx'];
}
