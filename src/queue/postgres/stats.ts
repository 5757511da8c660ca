import type { QueueStats } from '../queue.ts';
import type { Database } from './database.ts';
import { laneState, nowMs } from './lanes.ts';
import { queuedIn, totals } from './totals.ts';

type Counts = Pick<QueueStats, 'people' | 'waiting' | 'leased' | 'held' | 'oldestQueuedAtMs'>;

/** A count of a million people takes part of a second: it holds for so many times as long as it took, beyond that. */
const quickMs = 50;
const holdsTimes = 20;

/** What is queued and what became of the rest. The totals are always those of the last commit. */
export function createStats(db: Database): (installation?: string) => Promise<QueueStats> {
  const kept = new Map<string, { counts: Counts; untilMs: number }>();

  async function countsOf(installation: string | null, queued: number): Promise<Counts> {
    const known = kept.get(installation ?? '');
    const startedMs = performance.now();
    if (known && startedMs < known.untilMs) return known.counts;
    const [row] = await db.query<Omit<Counts, 'oldestQueuedAtMs'>>(
      `SELECT count(*) FILTER (WHERE queued > 0) AS people,
         count(*) FILTER (WHERE queued > 0 AND state = ${laneState.free} AND blockers = 0 AND due_at > ${nowMs}) AS waiting,
         count(*) FILTER (WHERE token IS NOT NULL) AS leased,
         count(*) FILTER (WHERE queued > 0 AND state = ${laneState.held}) AS held
       FROM lane WHERE $1::text IS NULL OR installation = $1`,
      [installation],
    );
    const none = { people: 0, waiting: 0, leased: 0, held: 0 };
    const counts = { ...none, ...row, oldestQueuedAtMs: queued === 0 ? null : await oldest(installation) };
    const endedMs = performance.now();
    const tookMs = endedMs - startedMs;
    if (tookMs > quickMs) kept.set(installation ?? '', { counts, untilMs: endedMs + tookMs * holdsTimes });
    else kept.delete(installation ?? '');
    return counts;
  }

  async function oldest(installation: string | null): Promise<number | null> {
    const ofOne = installation === null ? '' : "AND starts_with(person, $1 || '/')";
    const rows = await db.transaction(async (tx) => {
      // By the index that has them in order, also where the statistics say that there are few to be sorted.
      await tx.query('SET LOCAL enable_sort = off');
      return tx.query<{ atMs: number }>(
        `SELECT received_at AS "atMs" FROM event WHERE seq =
           (SELECT seq FROM job WHERE strpos(person, '/anon:') = 0 ${ofOne} ORDER BY seq LIMIT 1)`,
        installation === null ? [] : [installation],
      );
    });
    return rows[0]?.atMs ?? null;
  }

  return async (installation) => {
    const all = await totals(db);
    const of = (name: string): number => all.get(name) ?? 0;
    const [accepted, delivered, filtered, dead] = [of('accepted'), of('delivered'), of('filtered'), of('dead')];
    const queued = installation === undefined ? accepted - delivered - filtered - dead : of(queuedIn(installation));
    return { accepted, delivered, filtered, dead, queued, ...(await countsOf(installation ?? null, queued)) };
  };
}
