import type { Bench } from '../bench.ts';
import { inBatches, trackEvents } from '../events.ts';
import { roundAtBareRoute, roundAtService } from '../ingest-round.ts';

const size = 100;

/** The same events a hundred at a time. */
export async function batch(bench: Bench): Promise<void> {
  const { report, quick } = bench;
  report.title('batch', `the same in batches of ${size}`);
  const round = { eventsPerRequest: size, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 2 : 10 };
  const eventsPerSecond = { bare: [] as number[], someUsers: [] as number[], distinctUsers: [] as number[] };
  for (let n = 0; n < (quick ? 1 : 3); n += 1) {
    const body = (users: number) => inBatches(trackEvents({ users }), size);
    const bare = await roundAtBareRoute(bench, { ...round, body: body(10_000) });
    const someUsers = await roundAtService(bench, { ...round, body: body(10_000) });
    const distinctUsers = await roundAtService(bench, { ...round, body: body(Infinity) });
    eventsPerSecond.bare.push(bare.perSecond * size);
    eventsPerSecond.someUsers.push(someUsers.perSecond * size);
    eventsPerSecond.distinctUsers.push(distinctUsers.perSecond * size);
  }
  const unit = 'events/s';
  report.figure({ name: 'bare Fastify route, stores nothing', unit, values: eventsPerSecond.bare });
  report.figure({
    name: 'durable 202, 10,000 users',
    unit,
    values: eventsPerSecond.someUsers,
    target: { atLeast: 30_000 },
  });
  report.figure({
    name: 'durable 202, every user new',
    unit,
    values: eventsPerSecond.distinctUsers,
    target: { atLeast: 30_000 },
  });
}
