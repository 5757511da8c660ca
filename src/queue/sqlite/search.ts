import type { Attempt, EventDetail, EventFilter, EventStatus, EventSummary } from '../queue.ts';
import type { Database } from './database.ts';
import { idOf, seqOf } from '../event-id.ts';
import { triedCalls, triedStatus } from './statements.ts';

/** What one bounded look found, and below which seq to look next; 0 when there is nothing older. */
export type FoundPage = { events: EventSummary[]; below: number };

/**
 * Looks at the kept events, newest first. One look reads at most so many rows, since the writer waits meanwhile; to
 * look for a text takes ten times as long.
 */
const rowsALook = 20_000;
const textsALook = 2000;

const columns = `event.seq, event.installation, message_id, event.type, name, user_id, email, anonymous_id, received_at, event.at,
  coalesce(settled.status, 'queued') AS status, settled.reason, settled.at AS settled_at,
  CASE WHEN settled.seq IS NULL THEN ${triedStatus} ELSE settled.intercom_status END AS intercom_status,
  coalesce(settled.calls, ${triedCalls}) AS calls,
  coalesce(settled.attempts, job.attempts, 0) AS attempts, job.due_at, coalesce(settled.created_at, job.created_at) AS created_at`;
const joins = 'LEFT JOIN settled ON settled.seq = event.seq LEFT JOIN job ON job.seq = event.seq';

/** Went to one of these people, or carries a key of theirs: for two parameters, each the keys as JSON. */
export const ofPeople = `(coalesce(settled.person, job.person) IN (SELECT value FROM json_each(?))
  OR CASE WHEN user_id IS NOT NULL THEN event.installation || '/user:' || user_id
          WHEN email IS NOT NULL THEN event.installation || '/email:' || email END IN (SELECT value FROM json_each(?)))`;

export function createSearch(db: Database) {
  const newest = db.prepare('SELECT max(seq) AS seq FROM event');
  const oldest = db.prepare('SELECT min(seq) AS seq FROM event');
  const nthDead = db.prepare(
    "SELECT seq FROM settled INDEXED BY settled_dead WHERE status = 'dead' AND seq < ? ORDER BY seq DESC LIMIT 1 OFFSET ?",
  );
  const one = db.prepare(`SELECT ${columns}, payload, decision FROM event ${joins} WHERE event.seq = ?`);
  const summary = db.prepare(`SELECT ${columns} FROM event ${joins} WHERE event.seq = ?`);
  const withText = db.prepare(`SELECT ${columns} FROM event ${joins} WHERE event.seq = ? AND instr(payload, ?) > 0`);
  const attempts = db.prepare('SELECT * FROM attempt WHERE seq = ? ORDER BY n');

  function find(filter: EventFilter, limit: number, below: number): FoundPage {
    const top = Math.min(below, Number(newest.get()?.seq ?? 0) + 1);
    const looked = filter.text === undefined ? rowsALook : textsALook;
    // Dead letters have an index of their own: a look is bounded by their number, not by their place.
    const bottom = filter.status === 'dead' ? Number(nthDead.get(top, looked)?.seq ?? 0) : Math.max(0, top - looked);
    const { where, values } = conditions(filter);
    const from =
      filter.status === 'dead'
        ? 'settled INDEXED BY settled_dead JOIN event ON event.seq = settled.seq LEFT JOIN job ON job.seq = event.seq'
        : `event ${joins}`;
    const key = filter.status === 'dead' ? 'settled.seq' : 'event.seq';
    const rows = db
      .prepare(`SELECT ${columns} FROM ${from} WHERE ${key} < ? AND ${key} >= ? ${where} ORDER BY ${key} DESC LIMIT ?`)
      .all(top, bottom, ...values, limit);
    const isFull = rows.length === limit;
    const reached = isFull ? Number(rows.at(-1)?.seq) : bottom;
    return { events: rows.map(toSummary), below: reached <= Number(oldest.get()?.seq ?? 0) ? 0 : reached };
  }

  function detail(id: string): EventDetail | null {
    const seq = seqOf(id);
    const row = Number.isNaN(seq) ? undefined : one.get(seq);
    if (!row) return null;
    return {
      ...toSummary(row),
      payload: String(row.payload),
      decision: String(row.decision),
      createdAtSeconds: number(row.created_at),
      history: attempts.all(seq).map((attempt) => ({
        ...toAttempt(attempt),
        n: Number(attempt.n),
        atMs: Number(attempt.at),
        outcome: String(attempt.outcome),
        reason: text(attempt.reason),
      })),
    };
  }

  function summaries(ids: string[], wanted: string | undefined): EventSummary[] {
    return ids.flatMap((id) => {
      const seq = seqOf(id);
      if (Number.isNaN(seq)) return [];
      const row = wanted === undefined ? summary.get(seq) : withText.get(seq, wanted);
      return row ? [toSummary(row)] : [];
    });
  }

  return { find, detail, summaries };
}

/** `AND …` for each thing that is wanted of an event. */
export function conditions(filter: EventFilter): { where: string; values: (string | number)[] } {
  const tests: [condition: string, value: string | number | undefined][] = [
    ['event.installation = ?', filter.installation],
    ['event.type = ?', filter.type],
    ['name = ?', filter.name],
    ['user_id = ?', filter.userId],
    ['email = ?', filter.email],
    ['message_id = ?', filter.messageId],
    ['settled.reason = ?', filter.reason],
    ['received_at >= ?', filter.receivedFromMs],
    ['received_at < ?', filter.receivedToMs],
    ['instr(payload, ?) > 0', filter.text],
  ];
  const used = tests.flatMap(([condition, value]) => (value === undefined ? [] : [{ condition, value }]));
  // The status is written out, since the index of the dead ones is used only for a condition that is known beforehand.
  const status =
    filter.status === undefined
      ? []
      : [filter.status === 'queued' ? 'settled.seq IS NULL' : `settled.status = '${filter.status}'`];
  const people = filter.people?.map((key) => `${filter.installation}/${key}`);
  const all = [...status, ...used.map(({ condition }) => condition), ...(people ? [ofPeople] : [])];
  const json = JSON.stringify(people);
  return {
    where: all.map((condition) => `AND ${condition}`).join(' '),
    values: [...used.map(({ value }) => value), ...(people ? [json, json] : [])],
  };
}

function toSummary(row: Record<string, unknown>): EventSummary {
  return {
    id: idOf(Number(row.seq)),
    status: readStatus(row.status),
    reason: text(row.reason),
    intercomStatus: number(row.intercom_status),
    calls: Number(row.calls ?? 0),
    installation: String(row.installation),
    messageId: String(row.message_id),
    type: String(row.type),
    name: text(row.name),
    userId: text(row.user_id),
    email: text(row.email),
    anonymousId: text(row.anonymous_id),
    receivedAtMs: Number(row.received_at),
    atMs: Number(row.at),
    settledAtMs: number(row.settled_at),
    attempts: Number(row.attempts),
    dueAtMs: number(row.due_at) || null,
  };
}

function toAttempt(row: Record<string, unknown>): Attempt {
  return {
    intercomStatus: number(row.intercom_status),
    calls: Number(row.calls),
    ms: Number(row.ms),
    exchange: text(row.exchange),
  };
}

/** The database is this service's own: a status that it does not know is a bug, or a newer version's file. */
export function readStatus(value: unknown): EventStatus {
  if (value === 'queued' || value === 'delivered' || value === 'filtered' || value === 'dead') return value;
  throw new Error(`the database holds an event with the unknown status ${String(value)}`);
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function number(value: unknown): number | null {
  return value === null || value === undefined ? null : Number(value);
}
