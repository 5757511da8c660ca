import type { Bench } from './bench.ts';
import { type IngestLoad, type IngestRound, roundAtBareRoute, roundAtService } from './ingest-round.ts';

export type Comparison = Record<'bare' | 'someUsers' | 'newUsers', IngestRound[]>;

/**
 * The bare route, then the service with two kinds of users, and again: what the machine does to one it does to all,
 * and a ratio is taken within its round.
 */
export async function compareWithBare(
  bench: Bench,
  rounds: number,
  load: Omit<IngestLoad, 'body'>,
  bodyFor: (users: number) => () => string,
): Promise<Comparison> {
  const comparison: Comparison = { bare: [], someUsers: [], newUsers: [] };
  for (let n = 0; n < rounds; n += 1) {
    comparison.bare.push(await roundAtBareRoute(bench, { ...load, body: bodyFor(10_000) }));
    comparison.someUsers.push(await roundAtService(bench, { ...load, body: bodyFor(10_000) }));
    comparison.newUsers.push(await roundAtService(bench, { ...load, body: bodyFor(Infinity) }));
  }
  return comparison;
}

export const names = {
  bare: 'bare Fastify route, stores nothing',
  someUsers: 'durable 202, 10,000 users',
  newUsers: 'durable 202, every user new',
};

export function reportProcessorTime({ report }: Bench, comparison: Comparison): void {
  for (const kind of ['bare', 'someUsers', 'newUsers'] as const) {
    const values = comparison[kind].map(({ processorMicroseconds }) => processorMicroseconds);
    report.figure({ name: `processor time: ${names[kind]}`, unit: 'µs/event', values });
  }
}
