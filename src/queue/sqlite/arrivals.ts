import type { EventState, NewEvent, Receipt } from '../queue.ts';
import { idOf } from '../event-id.ts';
import type { LaneSets } from './lane-sets.ts';
import { isDevice } from '../kinship.ts';
import type { People } from './people.ts';
import type { Seen } from './seen.ts';
import type { Statements } from './statements.ts';
import type { Transaction } from './transaction.ts';

/** Accepted events on their way into the tables and the lanes, within the running transaction. */
export type Arrivals = {
  enqueue(events: NewEvent[]): Receipt[];
  /** A job of a person that nobody else is. */
  append(event: NewEvent, personOf: (seq: number) => string): number;
  /** Whether the running transaction has written or moved anybody's consent. */
  hasConsentChanged(): boolean;
  commit(): void;
  rollback(): void;
};

/** What an anonymous visitor may leave waiting for a login; further events are filtered as `never_identified`. */
const heldPerVisitor = 500;
const heldInAll = 2_000_000;

export function createArrivals(parts: {
  sql: Statements;
  transaction: Transaction;
  lanes: LaneSets;
  people: People;
  seen: Seen;
  stateOf(seq: number): EventState;
}): Arrivals {
  const { sql, transaction, lanes, people, seen } = parts;
  let nextSeq = Number(sql.lastSeq.get()?.seq ?? 0) + 1;
  let committedSeq = nextSeq;
  let withholding = Number(sql.consentRows.get()?.n ?? 0) > 0;
  /** People with jobs in this transaction, which the lanes don't know yet. */
  let arriving = new Map<string, number>();
  let hasConsentChanged = false;

  function enqueue(events: NewEvent[]): Receipt[] {
    return events.map(enqueueOne);
  }

  function enqueueOne(event: NewEvent): Receipt {
    const known = seen.find(event.installation, event.messageId);
    if (known !== undefined) return { duplicate: true, id: idOf(known), original: parts.stateOf(known) };
    const seq = nextSeq;
    nextSeq += 1;
    insertEvent(seq, event);
    if (event.trace !== undefined) sql.insertTrace.run(seq, event.trace);
    seen.add(event.installation, event.messageId, seq, event.receivedAtMs);
    const person = people.resolve(event, join);
    rememberConsent(person, event);
    transaction.count('accepted', 1);
    const reason = event.filtered ?? (isDevice(person) && isOverHeld(person) ? 'never_identified' : null);
    if (reason !== null) {
      sql.insertSettled.run(seq, event.receivedAtMs, 'filtered', reason, person, 0, null, 0, null);
      transaction.count('filtered', 1);
      return { duplicate: false, id: idOf(seq), status: 'filtered', reason };
    }
    sql.insertJob.run(seq, person);
    if (isDevice(person)) sql.insertHeld.run(seq);
    arriving.set(person, (arriving.get(person) ?? 0) + 1);
    transaction.afterCommit(() => lanes.of(person).add(person, seq, isDevice(person)));
    const receipt: Receipt = { duplicate: false, id: idOf(seq), status: 'queued', reason: null };
    return isDevice(person) ? { ...receipt, isHeld: true } : receipt;
  }

  function append(event: NewEvent, personOf: (seq: number) => string): number {
    const seq = nextSeq;
    nextSeq += 1;
    const person = personOf(seq);
    insertEvent(seq, event);
    sql.insertJob.run(seq, person);
    transaction.count('accepted', 1);
    transaction.afterCommit(() => lanes.of(person).add(person, seq, false));
    return seq;
  }

  function insertEvent(seq: number, event: NewEvent): void {
    const { installation, messageId, type, name, userId, email, anonymousId, receivedAtMs, atMs, decision, payload } =
      event;
    sql.insertEvent.run(
      seq,
      installation,
      messageId,
      type,
      name,
      userId,
      email,
      anonymousId,
      receivedAtMs,
      atMs,
      decision,
      payload,
    );
  }

  function isOverHeld(person: string): boolean {
    return (
      lanes.of(person).lengthOf(person) + (arriving.get(person) ?? 0) >= heldPerVisitor ||
      lanes.counts().held >= heldInAll
    );
  }

  function join(from: string, into: string): void {
    // A record that exists, or may still come into being: by queued jobs, or by a lease that has not ended yet.
    if (sql.contact.get(from) !== undefined || lanes.of(from).has(from) || arriving.has(from))
      sql.insertJoined.run(into, from);
    for (const row of sql.joined.all(from)) sql.insertJoined.run(into, String(row.source));
    sql.deleteJoined.run(from);
    if (withholding) {
      sql.moveConsent.run(into, from);
      hasConsentChanged = true;
    }
    transaction.afterCommit(() => lanes.of(from).join(from, into));
  }

  /**
   * Only people who ever withheld something have a row. A time in the future counts as now, so that a wrong clock
   * cannot make an old consent outlive a newer refusal.
   */
  function rememberConsent(person: string, event: NewEvent): void {
    if (event.consent === null) return;
    const { functional, marketing } = event.consent;
    const withholds = !functional || !marketing;
    if (!withholds && (!withholding || sql.consent.get(person) === undefined)) return;
    withholding = true;
    hasConsentChanged = true;
    sql.upsertConsent.run(person, Math.min(event.atMs, event.receivedAtMs), Number(functional), Number(marketing));
  }

  return {
    enqueue,
    append,
    hasConsentChanged: () => hasConsentChanged,
    commit() {
      committedSeq = nextSeq;
      hasConsentChanged = false;
      if (arriving.size > 0) arriving = new Map();
    },
    rollback() {
      nextSeq = committedSeq;
      hasConsentChanged = false;
      arriving = new Map();
    },
  };
}
