import type { EventDetail, EventFilter, EventState, EventSummary, Queue } from '../queue.ts';
import type { Database, Transaction } from './database.ts';
import { idOf, seqOf } from '../event-id.ts';
import { conditions, createParams, deadBetween, eventsBetween } from './conditions.ts';
import { storable } from './storable.ts';

/** A statement looks at so many rows at most, so that each ends in time however little there is to be found. */
const rowsALook = 50_000;
const textsALook = 5000;

/** What the newest attempts of a queued job have come to: a redrive counts anew, and keeps the earlier ones. */
const triedStatus = `(SELECT intercom_status FROM attempt WHERE attempt.seq = job.seq AND job.attempts > 0
  ORDER BY n DESC LIMIT 1)`;
const triedCalls = `coalesce((SELECT sum(calls) FROM attempt WHERE attempt.seq = job.seq
  AND n > (SELECT max(n) FROM attempt AS newest WHERE newest.seq = job.seq) - job.attempts), 0)`;

const state = `settled.reason, coalesce(settled.calls, ${triedCalls})::bigint AS calls,
  CASE WHEN settled.seq IS NULL THEN ${triedStatus} ELSE settled.intercom_status END AS "intercomStatus"`;
const summary = `event.seq, coalesce(settled.status, 'queued') AS status, ${state}, event.installation,
  event.message_id AS "messageId", event.type, event.name, event.user_id AS "userId", event.email,
  event.anonymous_id AS "anonymousId", event.received_at AS "receivedAtMs", event.at AS "atMs", settled.at AS "settledAtMs",
  coalesce(settled.attempts, job.attempts, 0) AS attempts, nullif(job.due_at, 0) AS "dueAtMs"`;
const withOutcome = 'event LEFT JOIN settled ON settled.seq = event.seq LEFT JOIN job ON job.seq = event.seq';

type Look = { events: EventSummary[]; below: number };
type WithSeq<T> = Omit<T, 'id'> & { seq: number };

export type Search = Pick<Queue, 'find' | 'detail' | 'summaries' | 'states'>;

export function createSearch(db: Database): Search {
  async function find(filter: EventFilter, page: { limit: number; before: string | null }): ReturnType<Queue['find']> {
    const events: EventSummary[] = [];
    const before = page.before === null ? Infinity : seqOf(page.before);
    const [ends] = await db.query<{ oldest: number | null; newest: number | null }>(
      'SELECT min(seq) AS oldest, max(seq) AS newest FROM event',
    );
    if (Number.isNaN(before) || ends?.newest == null) return { events, next: null };
    let below = Math.min(before, ends.newest + 1);
    while (events.length < page.limit && below > 0) {
      const found = await look(filter, below, page.limit - events.length);
      events.push(...found.events);
      below = found.below <= (ends.oldest ?? 0) ? 0 : found.below;
    }
    return { events, next: below > 0 ? (events.at(-1)?.id ?? null) : null };
  }

  async function look(filter: EventFilter, below: number, limit: number): Promise<Look> {
    const looked = filter.text === undefined ? rowsALook : textsALook;
    const isDead = filter.status === 'dead';
    // Dead letters have an index of their own: a look is bounded by their number, not by their place.
    const bottom = isDead ? await nthDead(below, looked) : Math.max(0, below - looked);
    const params = createParams();
    const between = (isDead ? deadBetween : eventsBetween)(params.at(bottom), params.at(below));
    const rows = await db.query<WithSeq<EventSummary>>(
      `SELECT ${summary} FROM ${between} ${conditions(filter, params)}
       ORDER BY ${isDead ? 'settled' : 'event'}.seq DESC LIMIT ${params.at(limit)}`,
      params.values,
    );
    const reached = rows.length === limit ? rows.at(-1)?.seq : bottom;
    return { events: rows.map(withId), below: reached ?? bottom };
  }

  async function nthDead(below: number, n: number): Promise<number> {
    const [row] = await db.query<{ seq: number }>(
      "SELECT seq FROM settled WHERE status = 'dead' AND seq < $1 ORDER BY seq DESC LIMIT 1 OFFSET $2",
      [below, n],
    );
    return row?.seq ?? 0;
  }

  async function detail(id: string): Promise<EventDetail | null> {
    const seqs = seqsOf([id]);
    const [row] = await db.query<WithSeq<Omit<EventDetail, 'history'>>>(
      `SELECT ${summary}, payload, decision, coalesce(settled.created_at, job.created_at) AS "createdAtSeconds"
       FROM ${withOutcome} WHERE event.seq = ANY($1)`,
      [seqs],
    );
    if (!row) return null;
    const history = await db.query<EventDetail['history'][number]>(
      `SELECT n, at AS "atMs", outcome, reason, intercom_status AS "intercomStatus", calls, ms, exchange
       FROM attempt WHERE seq = ANY($1) ORDER BY n`,
      [seqs],
    );
    return { ...withId(row), history };
  }

  async function summaries(ids: string[], wanted?: string): Promise<EventSummary[]> {
    const rows = await db.query<WithSeq<EventSummary>>(
      `SELECT ${summary} FROM ${withOutcome} WHERE event.seq = ANY($1) AND ($2::text IS NULL OR strpos(payload, $2) > 0)`,
      [seqsOf(ids), wanted === undefined ? null : storable(wanted)],
    );
    const known = new Map(rows.map(withId).map((row) => [row.id, row]));
    return ids.flatMap((id) => known.get(id) ?? []);
  }

  async function states(ids: string[]): Promise<Map<string, EventState>> {
    const rows = await db.query<WithSeq<EventState>>(
      `SELECT event.seq, coalesce(settled.status, 'queued') AS status, ${state} FROM ${withOutcome} WHERE event.seq = ANY($1)`,
      [seqsOf(ids)],
    );
    const known = new Map(rows.map(withId).map((row) => [row.id, row]));
    return new Map(ids.flatMap((id) => known.get(id) ?? []).map((row) => [row.id, row]));
  }

  return { find, detail, summaries, states };
}

/** Of events that were accepted once: an id outlives its event's row only where that was settled, and forgotten since. */
export async function stateOf(tx: Transaction, seqs: number[]): Promise<Map<number, EventState>> {
  if (seqs.length === 0) return new Map();
  const rows = await tx.query<WithSeq<EventState>>(
    `SELECT asked.seq, coalesce(settled.status, CASE WHEN job.seq IS NULL THEN 'delivered' ELSE 'queued' END) AS status,
       ${state} FROM unnest($1::bigint[]) AS asked (seq) LEFT JOIN settled ON settled.seq = asked.seq
     LEFT JOIN job ON job.seq = asked.seq`,
    [seqs],
  );
  return new Map(rows.map((row) => [row.seq, withId(row)]));
}

function withId<T extends { seq: number }>({ seq, ...row }: T): Omit<T, 'seq'> & { id: string } {
  return { id: idOf(seq), ...row };
}

/** Of the ids that are some. */
export const seqsOf = (ids: string[]): number[] => ids.map(seqOf).filter(Number.isSafeInteger);
