import { compareWithBare, names, reportProcessorTime } from '../against-bare.ts';
import type { Bench } from '../bench.ts';
import { appendsPerSecond } from '../disk.ts';
import { trackEvents } from '../events.ts';

/** Single events, each answered with a 202 once it is on disk, beside a route that stores nothing. */
export async function ingest(bench: Bench): Promise<void> {
  const { stage, report, quick } = bench;
  report.title('ingest', 'single track events of 700 bytes, 64 connections, Prefer: respond-async');
  const rounds = quick ? 1 : 3;
  const load = { eventsPerRequest: 1, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 3 : 10 };
  const comparison = await compareWithBare(bench, rounds, load, (users) => trackEvents({ users }));
  const rates = (kind: keyof typeof names): number[] => comparison[kind].map(({ eventsPerSecond }) => eventsPerSecond);
  const bare = rates('bare');

  report.figure({ name: names.bare, unit: '/s', values: bare });
  for (const kind of ['someUsers', 'newUsers'] as const) {
    report.figure({ name: names[kind], unit: '/s', values: rates(kind) });
    const ratios = rates(kind).map((rate, n) => rate / bare[n]!);
    report.figure({ name: '  of the bare route', unit: '×', values: ratios, target: { atLeast: 0.45 } });
  }
  reportProcessorTime(bench, comparison);

  const disk: number[] = [];
  for (let n = 0; n < rounds; n += 1) {
    disk.push(await appendsPerSecond({ folder: stage.folder(), waiters: 64, bytes: 1024, seconds: quick ? 1 : 5 }));
    await stage.clear();
  }
  report.figure({ name: 'disk alone: 1 KB appends, synced, 64 waiters', unit: '/s', values: disk });
}
