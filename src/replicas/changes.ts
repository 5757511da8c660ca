import { z } from 'zod';
import type { SharedChange, SharedChanges } from '../console/live.ts';
import type { Database } from '../queue/postgres/database.ts';
import { nowMs } from '../queue/postgres/lanes.ts';
import type { Pulse } from './pulse.ts';
import { repeat, type Repeated } from './repeat.ts';

/**
 * What happens to events, from the replicas where it happens to those that a console watches: one row a replica and
 * fifth of a second, and none while nobody watches. A row is a hint and no promise: a console that loads its list anew
 * has all, whatever became of the rows.
 */
export function openChanges({ db, id, pulse, onError, timing }: ChangesOptions): SharedChanges & Closing {
  let outbox: (SharedChange & { atMs: number })[] = [];
  let lost = 0;
  let writes: Repeated | undefined;
  let reads: Repeated | undefined;
  let ending: Promise<void> = Promise.resolve();
  let isClosed = false;

  function publish(change: SharedChange): void {
    if (isClosed) return;
    outbox.push({ ...change, atMs: Date.now() });
    if (outbox.length >= 2 * changesARow) cut();
    writes ??= repeat(timing.writeChangesMs, write, onError);
  }

  function cut(): void {
    const kept = outbox.slice(-changesARow);
    lost += outbox.length - kept.length;
    outbox = kept;
  }

  async function write(): Promise<void> {
    if (!pulse.seen().isWatched) {
      // Who begins to watch is noticed a moment later: what happened since is told then.
      outbox = outbox.filter(({ atMs }) => atMs > Date.now() - keptUnwatchedMs);
      lost = 0;
      if (outbox.length === 0) end();
      return;
    }
    cut();
    if (outbox.length === 0 && lost === 0) return end();
    const row: z.input<typeof Row> = { lost, changes: outbox.map(({ state, summary }) => ({ state, summary })) };
    outbox = [];
    lost = 0;
    try {
      await db.query(`INSERT INTO change (origin, at, changes) VALUES ($1, ${nowMs}, $2)`, [id, JSON.stringify(row)]);
    } catch (error) {
      lost += row.lost + row.changes.length;
      throw error;
    }
  }

  /** Until there is something again. */
  function end(): void {
    const ended = writes?.stop();
    writes = undefined;
    if (ended) ending = ended;
  }

  function follow(hear: (changes: SharedChange[], lost: number) => void): () => void {
    const { newestChange } = pulse.seen();
    /** Rows up to here are read, or were told before anybody watched. */
    let floor = newestChange;
    /** Rows beyond it that are read; numbers are given before they are committed, so that a lower one may yet come. */
    const read = new Map<number, number>();
    let isFirst = true;

    async function look(): Promise<void> {
      const rows = await db.query<{ id: number; at: number; changes: string; now: number }>(
        `SELECT id, at, changes, ${nowMs} AS now FROM change
         WHERE id > $1 AND id <> ALL ($2::bigint[]) AND origin <> $3 ORDER BY id`,
        [floor, [...read.keys()], id],
      );
      for (const row of rows) {
        read.set(row.id, row.at);
        const parsed = Row.safeParse(JSON.parse(row.changes));
        if (!parsed.success) continue; // of another version
        const { changes, lost: lostThere } = parsed.data;
        // What the first look finds may be from before the console's list, and be overtaken by it: as it is now.
        hear(isFirst ? changes.map(({ state }) => ({ state, summary: null })) : changes, lostThere);
      }
      isFirst = false;
      const now = rows.at(-1)?.now;
      if (now === undefined) return;
      for (const [number, at] of [...read].sort(([a], [b]) => a - b)) {
        if (at > now - commitsWithinMs) break;
        floor = number;
        read.delete(number);
      }
    }

    pulse.tell({ isWatched: true }, 'at once');
    const mine = repeat(timing.readChangesMs, look, onError);
    reads = mine;
    return () => {
      pulse.tell({ isWatched: false });
      if (reads === mine) reads = undefined;
      ending = mine.stop();
    };
  }

  return {
    isWanted: () => pulse.seen().isWatched,
    publish,
    follow,
    async close() {
      isClosed = true;
      await Promise.all([writes?.stop(), reads?.stop(), ending]);
      await write().catch(onError);
    },
  };
}

type Closing = { close(): Promise<void> };

export type ChangesOptions = {
  db: Database;
  id: string;
  pulse: Pulse;
  onError(error: unknown): void;
  timing: { writeChangesMs: number; readChangesMs: number };
};

/** More than a console is shown of it. */
const changesARow = 1000;
const keptUnwatchedMs = 1500;
const commitsWithinMs = 5000;

const status = z.enum(['queued', 'delivered', 'filtered', 'dead']);
const text = z.string().nullable();

const Summary = z.object({
  id: z.string(),
  status,
  reason: text,
  intercomStatus: z.number().nullable(),
  calls: z.number(),
  installation: z.string(),
  messageId: z.string(),
  type: z.string(),
  name: text,
  userId: text,
  email: text,
  anonymousId: text,
  receivedAtMs: z.number(),
  atMs: z.number(),
  settledAtMs: z.number().nullable(),
  attempts: z.number(),
  dueAtMs: z.number().nullable(),
});

const Row = z.object({
  lost: z.number(),
  changes: z.array(
    z.object({
      state: z.object({ id: z.string(), status, reason: text }),
      summary: Summary.nullable(),
    }),
  ),
});
