import type { Cause, EventFilter } from '../queue.ts';
import type { Database } from './database.ts';
import { idOf } from '../event-id.ts';
import { conditions } from './search.ts';

/**
 * Dead letters and filtered events by their cause, and dead letters in their order, in bounded steps between which
 * the writer goes on. `after` and `below` say where the next step begins; null: there is none.
 */
export type CountedDead = { count: number; after: number | null };
export type WalkedDead = { ids: string[]; after: number | null };
export type SomeCauses = { causes: Cause[]; next: number | null };

const deadALook = 5000;
const textsALook = 1000;
const filteredALook = 10_000;

const dead =
  'settled INDEXED BY settled_dead JOIN event ON event.seq = settled.seq LEFT JOIN job ON job.seq = event.seq';
const counts = 'settled.reason, count(*) AS n, min(settled.seq) AS oldest, max(settled.seq) AS newest';
// The person begins with its installation; the event itself need not be read.
const ofInstallation = "(?1 IS NULL OR substr(person, 1, length(?1) + 1) = ?1 || '/')";

export function createCauses(db: Database) {
  const nthDead = db.prepare(
    "SELECT seq FROM settled INDEXED BY settled_dead WHERE status = 'dead' AND seq > ? ORDER BY seq LIMIT 1 OFFSET ?",
  );
  const newest = db.prepare('SELECT max(seq) AS seq FROM event');
  const oldest = db.prepare('SELECT min(seq) AS seq FROM event');
  const deadCounts = db.prepare(
    `SELECT ${counts} FROM settled INDEXED BY settled_dead
     WHERE status = 'dead' AND seq > ?2 AND seq <= ?3 AND ${ofInstallation} GROUP BY reason`,
  );
  const filteredCounts = db.prepare(
    `SELECT ${counts} FROM settled
     WHERE status = 'filtered' AND seq >= ?2 AND seq < ?3 AND ${ofInstallation} GROUP BY reason`,
  );

  /** Where a look ends that begins after this dead letter; null: it takes all the rest. */
  function endOfLook(after: number, filter: EventFilter): number | null {
    const seq = nthDead.get(after, (filter.text === undefined ? deadALook : textsALook) - 1)?.seq;
    return seq === undefined ? null : Number(seq);
  }

  function countDead({ filter, after }: { filter: EventFilter; after: number }): CountedDead {
    const end = endOfLook(after, filter);
    const { where, values } = conditions({ ...filter, status: 'dead' });
    const row = db
      .prepare(`SELECT count(*) AS n FROM ${dead} WHERE settled.seq > ? AND settled.seq <= ? ${where}`)
      .get(after, end ?? Number.MAX_SAFE_INTEGER, ...values);
    return { count: Number(row?.n), after: end };
  }

  function walkDead(step: { filter: EventFilter; after: number; upTo: number; limit: number }): WalkedDead {
    const end = endOfLook(step.after, step.filter);
    const last = Math.min(end ?? step.upTo, step.upTo);
    const { where, values } = conditions({ ...step.filter, status: 'dead' });
    const rows = db
      .prepare(
        `SELECT settled.seq FROM ${dead} WHERE settled.seq > ? AND settled.seq <= ? ${where} ORDER BY settled.seq LIMIT ?`,
      )
      .all(step.after, last, ...values, step.limit);
    const seqs = rows.map(({ seq }) => Number(seq));
    const reached = seqs.length === step.limit ? seqs.at(-1)! : last;
    return { ids: seqs.map(idOf), after: reached >= step.upTo || (end === null && reached === last) ? null : reached };
  }

  function deadCauses({ installation, after }: { installation: string | undefined; after: number }): SomeCauses {
    const end = endOfLook(after, {});
    const rows = deadCounts.all(installation ?? null, after, end ?? Number.MAX_SAFE_INTEGER);
    return { causes: rows.map(toCause), next: end };
  }

  function filteredCauses({ installation, below }: { installation: string | undefined; below: number }): SomeCauses {
    const top = Math.min(below, Number(newest.get()?.seq ?? 0) + 1);
    const bottom = Math.max(1, top - filteredALook);
    const rows = filteredCounts.all(installation ?? null, bottom, top);
    return { causes: rows.map(toCause), next: bottom <= Number(oldest.get()?.seq ?? bottom) ? null : bottom };
  }

  return { countDead, walkDead, deadCauses, filteredCauses };
}

/** The causes of two looks as one. */
export function mergeCauses(some: Cause[], others: Cause[]): Cause[] {
  const merged = new Map(some.map((cause) => [cause.reason, cause]));
  for (const cause of others) {
    const known = merged.get(cause.reason);
    merged.set(cause.reason, known ? join(known, cause) : cause);
  }
  return [...merged.values()];
}

/** Ids sort as the events were accepted. */
function join(one: Cause, other: Cause): Cause {
  return {
    reason: one.reason,
    count: one.count + other.count,
    oldest: one.oldest < other.oldest ? one.oldest : other.oldest,
    newest: one.newest > other.newest ? one.newest : other.newest,
  };
}

function toCause(row: Record<string, unknown>): Cause {
  return {
    reason: String(row.reason),
    count: Number(row.n),
    oldest: idOf(Number(row.oldest)),
    newest: idOf(Number(row.newest)),
  };
}
