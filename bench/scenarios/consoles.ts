import type { Bench } from '../bench.ts';
import { inBatches, trackEvents } from '../events.ts';
import { type IngestRound, roundAtService } from '../ingest-round.ts';

const size = 100;
const perSecond = 10_000;
const watchers = 3;
const kinds = ['alone', 'watched'] as const;

/** What three consoles that watch the live stream cost the senders: by turns with them and without. */
export async function consoles(bench: Bench): Promise<void> {
  const { report, quick } = bench;
  report.title('consoles', `${watchers} consoles watch, events in batches of ${size}`);
  const rounds = quick ? 1 : 5;
  const common = { eventsPerRequest: size, warmUpSeconds: quick ? 1 : 3, seconds: quick ? 3 : 10 };
  for (const rate of ['steady', 'highest'] as const) {
    const measured: Record<(typeof kinds)[number], IngestRound[]> = { alone: [], watched: [] };
    for (let n = 0; n < rounds; n += 1) {
      // In turn, and the other way round in the next: whoever comes second finds a warmer machine.
      for (const kind of n % 2 === 0 ? kinds : kinds.toReversed()) {
        const body = inBatches(trackEvents({ users: 10_000 }), size);
        const load = {
          ...common,
          body,
          watchers: kind === 'watched' ? watchers : 0,
          ...(rate === 'steady' && { perSecond: perSecond / size }),
        };
        measured[kind].push(await roundAtService(bench, load));
      }
    }
    const name = rate === 'steady' ? `at ${perSecond.toLocaleString('en-US')} events/s` : 'at the highest rate';
    for (const kind of kinds) {
      const of = (pick: (round: IngestRound) => number): number[] => measured[kind].map(pick);
      report.figure({ name: `${kind}, ${name}`, unit: 'events/s', values: of((round) => round.eventsPerSecond) });
      report.figure({ name: `${kind}, ${name}: p99`, unit: 'ms', values: of((round) => round.p99Ms) });
      const processor = of((round) => round.processorMicroseconds);
      report.figure({ name: `${kind}, ${name}: processor time`, unit: 'µs/event', values: processor });
    }
    const ratios = measured.watched.map((round, n) => round.eventsPerSecond / measured.alone[n]!.eventsPerSecond);
    report.figure({ name: `watched ÷ alone, ${name}`, unit: '', values: ratios, target: { atLeast: 0.95 } });
  }
}
