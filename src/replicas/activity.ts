import type { ActivityOfAll, Counted, MinuteCount, Rates, Saved } from '../console/activity.ts';
import type { Database } from '../queue/postgres/database.ts';
import { aliveMs, type Pulse } from './pulse.ts';
import { repeat } from './repeat.ts';
import type { Tally } from './tally.ts';
import { nowMs } from '../queue/postgres/lanes.ts';

export type SharedActivityOptions = {
  db: Database;
  id: string;
  counted: Counted;
  tally: Tally;
  pulse: Pulse;
  everyMs: number;
  onError(error: unknown): void;
};

const minuteMs = 60_000;
const savings = ['merged', 'unchanged', 'knownIds'] as const;

/** What this replica counts, for all to see, and what all have counted. */
export function openSharedActivity(options: SharedActivityOptions): ActivityOfAll & { close(): Promise<void> } {
  const { db, id, counted, tally, pulse, everyMs, onError } = options;
  /** By minute, as it stands in the database: a minute is written whole, and again if it has grown. */
  let written = new Map<number, string>();
  let told: Saved = { merged: 0, unchanged: 0, knownIds: 0 };
  const writes = repeat(everyMs, write, onError);

  async function write(): Promise<void> {
    tellSaved();
    const { calls, drained } = counted.rates();
    pulse.tell({ callsPerSecond: calls, drainedPerSecond: drained });
    const minutes = counted.minutes();
    const texts = new Map(minutes.map((minute) => [minute.atMs, JSON.stringify(minute)]));
    const grown = minutes.filter((minute) => hasAny(minute) && written.get(minute.atMs) !== texts.get(minute.atMs));
    if (grown.length > 0) await writeMinutes(grown);
    written = texts;
  }

  function tellSaved(): void {
    const saved = counted.saved();
    for (const name of savings) tally.count(`saved/${name}`, saved[name] - told[name]);
    told = saved;
  }

  async function writeMinutes(minutes: MinuteCount[]): Promise<void> {
    const column = (of: (minute: MinuteCount) => number): number[] => minutes.map(of);
    await db.query(
      `INSERT INTO activity (replica, minute, accepted, delivered, filtered, dead, retried, calls)
       SELECT $1, * FROM unnest($2::bigint[], $3::int[], $4::int[], $5::int[], $6::int[], $7::int[], $8::int[])
       ON CONFLICT (minute, replica) DO UPDATE SET accepted = excluded.accepted, delivered = excluded.delivered,
         filtered = excluded.filtered, dead = excluded.dead, retried = excluded.retried, calls = excluded.calls`,
      [
        id,
        column(({ atMs }) => atMs / minuteMs),
        column(({ accepted }) => accepted),
        column(({ delivered }) => delivered),
        column(({ filtered }) => filtered),
        column(({ dead }) => dead),
        column(({ retried }) => retried),
        column(({ calls }) => calls),
      ],
    );
    await db.query('DELETE FROM activity WHERE minute < $1', [counted.minutes()[0]!.atMs / minuteMs - 1]);
  }

  return {
    async read() {
      await write();
      const minutes = counted.minutes();
      const rows = await db.query<MinuteCount>(
        `SELECT minute * ${minuteMs} AS "atMs", sum(accepted)::int AS accepted, sum(delivered)::int AS delivered,
           sum(filtered)::int AS filtered, sum(dead)::int AS dead, sum(retried)::int AS retried, sum(calls)::int AS calls
         FROM activity WHERE minute >= $1 GROUP BY minute`,
        [minutes[0]!.atMs / minuteMs],
      );
      const ofAll = new Map(rows.map((row) => [row.atMs, row]));
      const totals = await tally.read();
      return {
        minutes: minutes.map((own) => ofAll.get(own.atMs) ?? own),
        rates: await readRates(),
        saved: {
          merged: totals.get('saved/merged') ?? 0,
          unchanged: totals.get('saved/unchanged') ?? 0,
          knownIds: totals.get('saved/knownIds') ?? 0,
        },
      };
    },
    async close() {
      await writes.stop();
      await write().catch(onError);
    },
  };

  async function readRates(): Promise<Rates> {
    const own = counted.rates();
    const [others] = await db.query<{ calls: number; drained: number }>(
      `SELECT coalesce(sum(calls_per_second), 0) AS calls, coalesce(sum(drained_per_second), 0) AS drained
       FROM replica WHERE id <> $1 AND seen_at > ${nowMs} - ${aliveMs}`,
      [id],
    );
    return { calls: own.calls + others!.calls, drained: own.drained + others!.drained };
  }
}

function hasAny({ accepted, delivered, filtered, dead, retried, calls }: MinuteCount): boolean {
  return accepted + delivered + filtered + dead + retried + calls > 0;
}
