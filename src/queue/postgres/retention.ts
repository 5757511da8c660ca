import { tryToTidy } from './advisory.ts';
import type { Database, Transaction } from './database.ts';
import { forgetEvents } from './forget.ts';
import { lockLanes, nowMs } from './lanes.ts';
import { createSweep } from './sweep.ts';
import { add, count, type Deltas, installationOf, queuedIn } from './totals.ts';

export type Retention = { settledMs: number; deadMs: number; heldMs: number };

const stepRows = 500;
/** What a step reads at most to find as many. */
const rowsAStep = 5000;
const dayMs = 86_400_000;
/** A messageId is known for at least so long, and as long as its event. */
const windowMs = 7 * dayMs;
const idleLaneMs = 3_600_000;
/** After a walk that came to its end the next begins so much later, or sooner where little time is given. */
const restMs = 60_000;
const restOf = (ms: number): number => Math.min(restMs, ms / 100);

/**
 * Forgets what is over, in bounded steps: each call is one; true when more is to be done. One replica at a time does
 * it, by the clock of the database, and each begins anew at the oldest.
 */
export function createRetention(options: { db: Database; slot: number; retention: Retention }): () => Promise<boolean> {
  const { db, slot } = options;
  const settledMs = bounded(options.retention.settledMs);
  const deadMs = bounded(options.retention.deadMs);
  const heldMs = bounded(options.retention.heldMs);
  const steps = [
    createWalk(restOf(heldMs), (tx, after) => filterNeverIdentified(tx, { after, heldMs, slot })),
    createWalk(restOf(Math.min(settledMs, deadMs)), (tx, after) => forgetSettled(tx, { after, settledMs, deadMs })),
    createSweep({ table: 'seen', isOver: `at < ${nowMs} - ${Math.max(windowMs, settledMs)}` }),
    createSweep({
      table: 'lane',
      isOver: `queued = 0 AND state IN (0, 2) AND blockers = 0 AND token IS NULL AND "into" IS NULL
        AND due_at < ${nowMs} - ${idleLaneMs}`,
    }),
  ];
  return async () => {
    for (const step of steps) {
      if (!step.isDue()) continue;
      const more: () => boolean = await db.transaction(async (tx) => {
        const [lock] = await tx.query<{ isMine: boolean }>(tryToTidy);
        return lock?.isMine ? step.run(tx) : () => false;
      });
      if (more()) return true;
    }
    return false;
  };
}

/** `run` does one step within a transaction; what it returns, called after the commit, tells whether more is to be done. */
export type Step = { isDue(): boolean; run(tx: Transaction): Promise<() => boolean> };

/** From the oldest seq on; a step tells how far it came, null at the end. */
function createWalk(restsMs: number, step: (tx: Transaction, after: number) => Promise<number | null>): Step {
  let after = 0;
  let nextAtMs = -Infinity;
  return {
    isDue: () => performance.now() >= nextAtMs,
    async run(tx) {
      const reached = await step(tx, after);
      return () => {
        after = reached ?? 0;
        if (reached === null) nextAtMs = performance.now() + restsMs;
        return reached !== null;
      };
    },
  };
}

/** What has been tied to somebody meanwhile is on its way: its job is in that person's line. */
async function filterNeverIdentified(
  tx: Transaction,
  { after, heldMs, slot }: { after: number; heldMs: number; slot: number },
): Promise<number | null> {
  const rows = await tx.query<{ seq: number; person: string; isHeld: boolean; isOver: boolean }>(
    `SELECT oldest.seq, person, strpos(person, '/anon:') > 0 AS "isHeld", received_at < ${nowMs} - $2 AS "isOver"
     FROM (SELECT seq, person FROM job WHERE seq > $1 ORDER BY seq LIMIT ${rowsAStep}) AS oldest JOIN event USING (seq) ORDER BY seq`,
    [after, heldMs],
  );
  const over = rows.filter(({ isHeld, isOver }) => isHeld && isOver).slice(0, stepRows);
  if (over.length > 0) {
    const seqs = over.map(({ seq }) => seq);
    await lockLanes(
      tx,
      over.map(({ person }) => person),
    );
    const gone = await tx.query<{ person: string; n: number }>(
      `WITH gone AS (DELETE FROM job WHERE seq = ANY($1::bigint[]) AND strpos(person, '/anon:') > 0 RETURNING seq, person),
       ended AS (INSERT INTO settled (seq, at, status, reason, person, attempts, calls)
         SELECT seq, ${nowMs}, 'filtered', 'never_identified', person, 0, 0 FROM gone),
       fewer AS (UPDATE lane SET queued = queued - less.n
         FROM (SELECT person, count(*)::int AS n FROM gone GROUP BY person) AS less WHERE lane.person = less.person)
       SELECT person, count(*)::int AS n FROM gone GROUP BY person`,
      [seqs],
    );
    const deltas: Deltas = new Map();
    for (const { person, n } of gone) {
      add(deltas, 'filtered', n);
      add(deltas, queuedIn(installationOf(person)), -n);
    }
    await count(tx, slot, deltas);
  }
  if (over.length === stepRows) return over.at(-1)?.seq ?? null;
  const last = rows.at(-1);
  // Jobs lie nearly in the order of their receipt: the rest is younger.
  return last?.isOver && rows.length === rowsAStep ? last.seq : null;
}

async function forgetSettled(
  tx: Transaction,
  { after, settledMs, deadMs }: { after: number; settledMs: number; deadMs: number },
): Promise<number | null> {
  const isOver = `at < ${nowMs} - CASE status WHEN 'dead' THEN $2::bigint ELSE $3::bigint END`;
  const rows = await tx.query<{ seq: number; isOver: boolean; isOld: boolean }>(
    `SELECT seq, ${isOver} AS "isOver", at < ${nowMs} - least($2::bigint, $3::bigint) AS "isOld"
     FROM settled WHERE seq > $1 ORDER BY seq LIMIT ${rowsAStep}`,
    [after, deadMs, settledMs],
  );
  const over = rows.filter((row) => row.isOver).slice(0, stepRows);
  // Asked again of those that may have been redriven meanwhile, and have ended anew.
  const gone = await tx.query<{ seq: number }>(
    `DELETE FROM settled WHERE seq = ANY($1::bigint[]) AND ${isOver} RETURNING seq`,
    [over.map(({ seq }) => seq), deadMs, settledMs],
  );
  await forgetEvents(
    tx,
    gone.map(({ seq }) => seq),
  );
  if (over.length === stepRows) return over.at(-1)?.seq ?? null;
  // Rows lie nearly in the order of their end; dead ones that stay lie in front of younger ones that go.
  return rows.length === rowsAStep && rows.some(({ isOld }) => isOld) ? (rows.at(-1)?.seq ?? null) : null;
}

/** A time may be given as endless; what is counted with in the database is not. */
const bounded = (ms: number): number => Math.min(ms, Number.MAX_SAFE_INTEGER);
