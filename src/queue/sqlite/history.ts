import type { EventState } from '../queue.ts';
import { idOf, seqOf } from '../event-id.ts';
import type { LaneSets } from './lane-sets.ts';
import { isDevice } from '../kinship.ts';
import type { People } from './people.ts';
import { readStatus } from './search.ts';
import type { Statements } from './statements.ts';
import type { Transaction } from './transaction.ts';

/** Events after their end: what became of them, back to the queue, and out of the file when their time is over. */
export type History = {
  stateOf(seq: number): EventState;
  states(ids: string[]): [string, EventState][];
  /** Dead events back to their place in their person's line; how many of these were dead. */
  redrive(ids: string[]): number;
  /** One bounded step of forgetting; true when more is to be done. */
  tidy(nowMs: number): boolean;
};

export type Retention = { settledMs: number; deadMs: number; heldMs: number };

const stepRows = 500;

export function createHistory(parts: {
  sql: Statements;
  transaction: Transaction;
  lanes: LaneSets;
  people: People;
  retention: Retention;
}): History {
  const { sql, transaction, lanes, people, retention } = parts;
  /** How far each walk through the oldest rows has come; it begins anew when it has nothing more to forget. */
  let settledFrom = 0;

  function stateOf(seq: number): EventState {
    const row = sql.settled.get(seq);
    const job = row === undefined ? sql.triedJob.get(seq) : undefined;
    const answered = row ?? job;
    return {
      id: idOf(seq),
      // An id outlives its event's row only when RETENTION_DAYS is shorter than the window: then it was settled.
      status: row ? readStatus(row.status) : job ? 'queued' : 'delivered',
      reason: typeof row?.reason === 'string' ? row.reason : null,
      intercomStatus: answered?.intercom_status == null ? null : Number(answered.intercom_status),
      calls: Number(answered?.calls ?? 0),
    };
  }

  function states(ids: string[]): [string, EventState][] {
    return ids.flatMap((id) => {
      const seq = seqOf(id);
      return Number.isSafeInteger(seq) && sql.event.get(seq) !== undefined ? [[id, stateOf(seq)]] : [];
    });
  }

  function redrive(ids: string[]): number {
    const seqs = [...new Set(ids)].map(seqOf).filter((seq) => sql.settled.get(seq)?.status === 'dead');
    for (const seq of seqs) {
      const row = sql.dead.get(seq);
      sql.deleteSettled.run(seq);
      sql.restoreJob.run(seq, String(row?.person), row?.created_at ?? null);
      transaction.count('dead', -1);
      transaction.afterCommit(() => {
        const person = people.current(String(row?.person));
        lanes.of(person).insert(person, seq, isDevice(person));
      });
    }
    return seqs.length;
  }

  function tidy(nowMs: number): boolean {
    return filterNeverIdentified(nowMs) || forgetSettled(nowMs);
  }

  function filterNeverIdentified(nowMs: number): boolean {
    const rows = sql.oldestHeld.all(stepRows).filter((row) => Number(row.received_at) < nowMs - retention.heldMs);
    // What has been tied to somebody meanwhile is on its way.
    const over = rows.filter((row) => isDevice(people.current(String(row.person))));
    for (const row of over) {
      const seq = Number(row.seq);
      const person = people.current(String(row.person));
      sql.deleteJob.run(seq);
      sql.insertSettled.run(seq, nowMs, 'filtered', 'never_identified', person, 0, null, 0, null);
      transaction.count('filtered', 1);
      transaction.afterCommit(() => lanes.of(person).discard(person, seq));
    }
    return over.length > 0 && rows.length === stepRows;
  }

  function forgetSettled(nowMs: number): boolean {
    const rows = sql.settledFrom.all(settledFrom, stepRows);
    const isOver = (row: Record<string, unknown>): boolean =>
      Number(row.at) < nowMs - (row.status === 'dead' ? retention.deadMs : retention.settledMs);
    const over = rows.filter(isOver);
    for (const row of over) {
      const seq = Number(row.seq);
      sql.deleteSettled.run(seq);
      sql.deleteAttempts.run(seq);
      sql.deleteHeld.run(seq);
      sql.deleteTrace.run(seq);
      sql.deleteEvent.run(seq);
    }
    if (over.length > 0) sql.keepLastSeq.run();
    // Rows lie nearly in the order of their end, but dead ones stay longer: only another that is kept tells that the rest
    // is younger.
    const isYounger = over.length === 0 && rows.some(({ status }) => status !== 'dead');
    settledFrom = isYounger || rows.length < stepRows ? 0 : Number(rows.at(-1)?.seq);
    return settledFrom > 0;
  }

  return { stateOf, states, redrive, tidy };
}
