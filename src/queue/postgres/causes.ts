import type { Cause, Causes, EventFilter, Queue } from '../queue.ts';
import { conditions, createParams, deadBetween } from './conditions.ts';
import type { Database } from './database.ts';
import { idOf, seqOf } from '../event-id.ts';

/** Dead letters and filtered events by their cause, and dead letters in their order. */
export type CausesOf = Pick<Queue, 'countDead' | 'walkDead' | 'causes'>;

/** A statement looks at so many dead letters at most, so that each ends in time. */
const deadALook = 20_000;
const textsALook = 5000;
const filteredLooked = 100_000;
/** All dead letters are grouped by one statement, which reads their index and their rows alone. */
const groupLimitMs = 60_000;

const counts = `coalesce(reason, 'null') AS reason, count(*) AS count, min(seq) AS oldest, max(seq) AS newest`;
// The person begins with its installation; the event itself need not be read.
const ofInstallation = "($1::text IS NULL OR starts_with(person, $1 || '/'))";

export function createCauses(db: Database): CausesOf {
  /** Before which seq a look ends that begins after this dead letter; null: it takes all the rest. */
  async function endOfLook(after: number, filter: EventFilter): Promise<number | null> {
    const [row] = await db.query<{ seq: number }>(
      "SELECT seq FROM settled WHERE status = 'dead' AND seq > $1 ORDER BY seq LIMIT 1 OFFSET $2",
      [after, (filter.text === undefined ? deadALook : textsALook) - 1],
    );
    return row?.seq ?? null;
  }

  async function countDead(filter: EventFilter): Promise<number> {
    let count = 0;
    for (let after: number | null = 0; after !== null;) {
      const end = await endOfLook(after, filter);
      const params = createParams();
      const between = deadBetween(params.at(after + 1), params.at((end ?? lastSeq) + 1));
      const [row] = await db.query<{ count: number }>(
        `SELECT count(*) FROM ${between} ${conditions({ ...filter, status: 'dead' }, params)}`,
        params.values,
      );
      count += row?.count ?? 0;
      after = end;
    }
    return count;
  }

  async function walkDead(
    filter: EventFilter,
    page: { limit: number; after: string | null; upTo: string },
  ): ReturnType<Queue['walkDead']> {
    const ids: string[] = [];
    const upTo = Math.min(seqOf(page.upTo), lastSeq);
    let after: number | null = page.after === null ? 0 : Math.min(seqOf(page.after), lastSeq);
    if (Number.isNaN(upTo) || Number.isNaN(after)) return { ids, next: null };
    while (after !== null && ids.length < page.limit) {
      const limit: number = page.limit - ids.length;
      const end: number | null = await endOfLook(after, filter);
      const last = Math.min(end ?? upTo, upTo);
      const params = createParams();
      const between = deadBetween(params.at(after + 1), params.at(last + 1));
      const rows = await db.query<{ seq: number }>(
        `SELECT settled.seq FROM ${between} ${conditions({ ...filter, status: 'dead' }, params)}
         ORDER BY settled.seq LIMIT ${params.at(limit)}`,
        params.values,
      );
      ids.push(...rows.map(({ seq }) => idOf(seq)));
      const reached = rows.length === limit ? (rows.at(-1)?.seq ?? last) : last;
      after = reached >= upTo || (end === null && reached === last) ? null : reached;
    }
    return { ids, next: after === null ? null : (ids.at(-1) ?? null) };
  }

  async function causes(status: 'dead' | 'filtered', installation?: string): Promise<Causes> {
    if (status === 'dead') {
      const rows = await db.query<Grouped>(
        `SELECT ${counts} FROM settled WHERE status = 'dead' AND ${ofInstallation} GROUP BY 1`,
        [installation ?? null],
        groupLimitMs,
      );
      return { causes: rows.map(toCause), since: null };
    }
    const [ends] = await db.query<{ oldest: number | null; newest: number | null }>(
      'SELECT min(seq) AS oldest, max(seq) AS newest FROM event',
    );
    const bottom = Math.max(1, (ends?.newest ?? 0) + 1 - filteredLooked);
    const rows = await db.query<Grouped>(
      `SELECT ${counts} FROM settled WHERE status = 'filtered' AND seq >= $2 AND ${ofInstallation} GROUP BY 1`,
      [installation ?? null, bottom],
    );
    return { causes: rows.map(toCause), since: bottom <= (ends?.oldest ?? bottom) ? null : idOf(bottom) };
  }

  return { countDead, walkDead, causes };
}

/** One less than the last that JavaScript can count on from. */
const lastSeq = Number.MAX_SAFE_INTEGER - 1;

type Grouped = { reason: string; count: number; oldest: number; newest: number };

const toCause = ({ oldest, newest, ...cause }: Grouped): Cause => ({
  ...cause,
  oldest: idOf(oldest),
  newest: idOf(newest),
});
