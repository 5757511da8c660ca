import type { Bench } from '../bench.ts';
import { appendsPerSecond } from '../disk.ts';
import { trackEvents } from '../events.ts';
import { roundAtBareRoute, roundAtService } from '../ingest-round.ts';

export const singleEventsName = 'durable 202, 10,000 users';

/** Single events, each answered with a 202 once it is on disk, beside a route that stores nothing. */
export async function ingest(bench: Bench): Promise<void> {
  const { stage, report, quick } = bench;
  report.title('ingest', 'single track events of 700 bytes, 64 connections, Prefer: respond-async');
  const round = { eventsPerRequest: 1, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 2 : 10 };
  const bare: number[] = [];
  const someUsers: number[] = [];
  const distinctUsers: number[] = [];
  const disk: number[] = [];
  for (let n = 0; n < (quick ? 2 : 3); n += 1) {
    bare.push((await roundAtBareRoute(bench, { ...round, body: trackEvents({ users: 10_000 }) })).perSecond);
    someUsers.push((await roundAtService(bench, { ...round, body: trackEvents({ users: 10_000 }) })).perSecond);
    distinctUsers.push((await roundAtService(bench, { ...round, body: trackEvents({ users: Infinity }) })).perSecond);
    disk.push(await appendsPerSecond({ folder: stage.folder(), waiters: 64, bytes: 1024, seconds: quick ? 1 : 5 }));
    await stage.clear();
  }
  const toBare = (values: number[]): number[] => values.map((value, n) => value / bare[n]!);

  report.figure({ name: 'bare Fastify route, stores nothing', unit: '/s', values: bare });
  report.figure({ name: singleEventsName, unit: '/s', values: someUsers });
  report.figure({ name: '  of the bare route', unit: '×', values: toBare(someUsers), target: { atLeast: 0.45 } });
  report.figure({ name: 'durable 202, every user new', unit: '/s', values: distinctUsers });
  report.figure({ name: '  of the bare route', unit: '×', values: toBare(distinctUsers), target: { atLeast: 0.45 } });
  report.figure({ name: 'disk alone: 1 KB appends, synced, 64 waiters', unit: '/s', values: disk });
}
