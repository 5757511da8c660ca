import type { Database } from '../queue/postgres/database.ts';
import { nowMs } from '../queue/postgres/lanes.ts';
import { repeat } from './repeat.ts';

/** Tells the others that this replica lives, and takes notice of what they want of it: one small query, twice a second. */
export type Pulse = {
  /** As of the last look. */
  seen(): Seen;
  /** Calls `listen` after each look. */
  onLook(listen: (seen: Seen) => void): void;
  /** What this replica tells of itself changes; it is told at the next beat, or at once. */
  tell(told: Partial<Told>, when?: 'at once'): void;
  list(): Promise<Replica[]>;
  close(): Promise<void>;
};

export type Seen = {
  others: number;
  /** Whether a console watches one of the others. */
  isWatched: boolean;
  /** The newest row of `change`. */
  newestChange: number;
  /** Another text after each change of what is stored of the installations. */
  installations: string;
  /** Whether a redrive waits for somebody to go on with it. */
  hasRedrive: boolean;
};

type Told = { isWatched: boolean; installations: string; callsPerSecond: number; drainedPerSecond: number };

export type Replica = {
  id: string;
  sinceMs: number;
  seenAtMs: number;
  version: string;
  roles: string[];
  host: string;
};

export type PulseOptions = {
  db: Database;
  id: string;
  version: string;
  roles: string[];
  host: string;
  onError(error: unknown): void;
  timing: { lookMs: number; beatMs: number; sweepMs: number };
};

/** Longer than a few beats, so that one which is late ends nothing. */
export const aliveMs = 10_000;
const forgottenMs = 60_000;

export async function openPulse({ db, id, version, roles, host, onError, timing }: PulseOptions): Promise<Pulse> {
  const told: Told = { isWatched: false, installations: '', callsPerSecond: 0, drainedPerSecond: 0 };
  const listeners: ((seen: Seen) => void)[] = [];
  let startedAtMs: number | null = null;
  let seen: Seen = { others: 0, isWatched: false, newestChange: 0, installations: '', hasRedrive: false };

  /** The whole row each time: a crash of the database forgets it. */
  async function beat(): Promise<void> {
    const [row] = await db.query<{ started_at: number }>(
      `INSERT INTO replica AS r (id, started_at, seen_at, version, roles, host, watched_until, installations,
         calls_per_second, drained_per_second)
       VALUES ($1, coalesce($2, ${nowMs}), ${nowMs}, $3, $4, $5, CASE WHEN $6 THEN ${nowMs} + ${aliveMs} ELSE 0 END, $7, $8, $9)
       ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, watched_until = excluded.watched_until,
         installations = excluded.installations, calls_per_second = excluded.calls_per_second,
         drained_per_second = excluded.drained_per_second
       RETURNING started_at`,
      [
        id,
        startedAtMs,
        version,
        roles,
        host,
        told.isWatched,
        told.installations,
        told.callsPerSecond,
        told.drainedPerSecond,
      ],
    );
    startedAtMs = row!.started_at;
  }

  async function look(): Promise<void> {
    const [row] = await db.query<Seen>(
      `SELECT (SELECT count(*)::int FROM replica WHERE id <> $1 AND seen_at > ${nowMs} - ${aliveMs}) AS others,
         EXISTS (SELECT 1 FROM replica WHERE id <> $1 AND watched_until > ${nowMs}) AS "isWatched",
         (SELECT coalesce(max(id), 0) FROM change) AS "newestChange",
         ${installationsText} AS installations,
         EXISTS (SELECT 1 FROM redrive WHERE status = 'running' AND held_until < ${nowMs}) AS "hasRedrive"`,
      [id],
    );
    seen = row!;
    for (const listen of listeners) listen(seen);
  }

  async function sweep(): Promise<void> {
    await db.query(`DELETE FROM replica WHERE seen_at < ${nowMs} - ${forgottenMs}`);
    await db.query(`DELETE FROM change WHERE at < ${nowMs} - ${forgottenMs}`);
  }

  await beat();
  await look();
  const beats = repeat(timing.beatMs, beat, onError);
  const looks = repeat(timing.lookMs, look, onError);
  const sweeps = repeat(timing.sweepMs, sweep, onError);

  return {
    seen: () => seen,
    onLook: (listen) => void listeners.push(listen),
    tell(more, when) {
      Object.assign(told, more);
      if (when) beats.now();
    },
    async list() {
      const rows = await db.query<{
        id: string;
        started_at: number;
        seen_at: number;
        version: string;
        roles: string[];
        host: string;
      }>(
        `SELECT id, started_at, seen_at, version, roles, host FROM replica
         WHERE seen_at > ${nowMs} - ${forgottenMs} ORDER BY started_at, id`,
      );
      return rows.map(({ started_at: sinceMs, seen_at: seenAtMs, ...rest }) => ({ ...rest, sinceMs, seenAtMs }));
    },
    async close() {
      await Promise.all([beats.stop(), looks.stop(), sweeps.stop()]);
      await db.query('DELETE FROM replica WHERE id = $1', [id]).catch(onError);
    },
  };
}

/** `xmin` is the transaction that wrote a row last. */
export const installationsText = `(SELECT coalesce(md5(string_agg(id || ' ' || xmin::text, ',' ORDER BY id)), '') FROM installation)`;
