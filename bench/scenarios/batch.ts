import { compareWithBare, names, reportProcessorTime } from '../against-bare.ts';
import type { Bench } from '../bench.ts';
import { inBatches, trackEvents } from '../events.ts';

const size = 100;

/** The same events a hundred at a time. */
export async function batch(bench: Bench): Promise<void> {
  const { report, quick } = bench;
  report.title('batch', `the same in batches of ${size}`);
  const load = { eventsPerRequest: size, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 3 : 10 };
  const comparison = await compareWithBare(bench, quick ? 1 : 3, load, (users) =>
    inBatches(trackEvents({ users }), size),
  );
  for (const kind of ['bare', 'someUsers', 'newUsers'] as const) {
    const values = comparison[kind].map(({ eventsPerSecond }) => eventsPerSecond);
    const target = kind === 'bare' ? {} : { target: { atLeast: 30_000 } };
    report.figure({ name: names[kind], unit: 'events/s', values, ...target });
  }
  reportProcessorTime(bench, comparison);
}
