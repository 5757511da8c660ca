import { idOf } from '../event-id.ts';
import { fingerprint } from '../fingerprint.ts';
import { createKinship, isDevice, isUser } from '../kinship.ts';
import type { EventState, NewEvent, Receipt } from '../queue.ts';
import { shareKeys } from './advisory.ts';
import { knowAliases, readAliases, writeAliases } from './aliases.ts';
import { Again, type Transaction } from './database.ts';
import { rememberConsent } from './consents.ts';
import { findLegacies, followJoins, type Join, joinPeople } from './joins.ts';
import { type Lane, lockLanes, nowMs, refreshDue } from './lanes.ts';
import { stateOf } from './search.ts';
import { storable } from './storable.ts';
import { add, count, type Deltas, installationOf, queuedIn } from './totals.ts';

/** What an anonymous visitor may leave waiting for a login; further events are filtered as `never_identified`. */
const heldPerVisitor = 500;

/** An event that is new, and whose line it joins. */
type Arrival = {
  index: number;
  seq: number;
  event: NewEvent;
  /** As it is when the event comes; `line` is as it is when all have come. */
  person: string;
  line: string;
  filtered: string | null;
};

/** `people` is one per event; `queued` tells how many jobs each line has got. */
export type Accepted = { receipts: Receipt[]; people: string[]; queued: Map<string, number> };

/** Accepted events into the tables. One receipt per event. */
export async function acceptEvents(
  tx: Transaction,
  given: NewEvent[],
  options: { devices: boolean; slot: number },
): Promise<Accepted> {
  const events = given.map(storableEvent);
  const keys = secondKeys(events, options.devices);
  // Who is known by one key alone is known without asking.
  const known = keys.length === 0 ? events.filter(needsLane).map(keyOf) : [];
  const [, seqs, stored, early] = await Promise.all([
    tx.query(shareKeys),
    remember(tx, events),
    readAliases(tx, keys),
    lockLanes(tx, known),
  ]);
  const fresh = events.flatMap((event, index) => (seqs[index]!.isFresh ? [{ index, event }] : []));
  const aliases = knowAliases(stored);
  const { resolve, current } = createKinship(aliases, options);
  const joins: Join[] = [];
  const arrivals: Arrival[] = fresh.map(({ index, event }) => {
    const person = resolve(event, (from, into) => joins.push({ from, into }));
    return { index, seq: seqs[index]!.seq, event, person, line: person, filtered: event.filtered };
  });
  const follow = followJoins(joins);
  for (const arrival of arrivals) arrival.line = follow(arrival.person);
  const [lanes, , legacies] = await Promise.all([
    keys.length === 0
      ? early
      : lockLanes(tx, [...lanesOf(arrivals), ...joins.flatMap(({ from, into }) => [from, into])]),
    assureAliases(tx, keys, stored),
    findLegacies(
      tx,
      joins.map(({ from }) => from),
    ),
  ]);
  boundVisitors(arrivals, lanes);
  const arriving = new Set(arrivals.flatMap(({ person, filtered }) => (filtered === null ? person : [])));
  const touched: string[] = [];
  for (const join of joins) {
    const source = lanes.get(join.from)!;
    if (arriving.has(join.from)) await inherit(tx, join);
    else if (!legacies.has(join.from) && source.queued === 0 && source.token === null) continue;
    await joinPeople(tx, join, lanes);
    legacies.add(join.into);
    touched.push(join.into);
  }
  const repeated = seqs.flatMap(({ seq, isFresh }) => (isFresh ? [] : seq));
  const written = Promise.all([
    writeAliases(tx, aliases.changed()),
    insert(tx, arrivals),
    touched.length > 0 ? refreshDue(tx, touched) : undefined,
    rememberConsent(tx, arrivals),
    stateOf(tx, repeated),
    count(tx, options.slot, deltasOf(arrivals)),
  ]);
  tx.commit();
  const [, , , , originals] = await written;
  return {
    receipts: receiptsOf(seqs, arrivals, originals),
    people: events.map((event) => current(keyOf(event))),
    queued: linesOf(arrivals),
  };
}

/**
 * What is filtered stands in no line; what it says of consent must not be written down for a person who is just
 * becoming another.
 */
const needsLane = ({ filtered, consent }: NewEvent): boolean => filtered === null || consent !== null;

const lanesOf = (arrivals: Arrival[]): string[] =>
  arrivals.flatMap(({ person, line, event }) => (needsLane(event) ? [person, line] : []));

type Remembered = { seq: number; isFresh: boolean };

/**
 * A repeat writes its row anew, so that its answer waits, like the original's, until a synchronous standby has it; and
 * it waits for a transaction under way that brings the same id.
 */
async function remember(tx: Transaction, events: NewEvent[]): Promise<Remembered[]> {
  const prints = events.map((event) => uuidOf(fingerprint(event.installation, event.messageId)));
  const first = new Map<string, number>();
  prints.forEach((print, index) => {
    if (!first.has(print)) first.set(print, index);
  });
  // In the order of acceptance, so that numbers are given in it; locked in that of the prints.
  const rows = await tx.query<{ print: string; seq: number; fresh: boolean }>(
    `WITH numbered AS (SELECT print, nextval('event_seq') AS seq FROM unnest($1::uuid[]) WITH ORDINALITY t (print, o) ORDER BY o),
     sorted AS (SELECT print, seq FROM numbered ORDER BY print)
     INSERT INTO seen AS s (print, seq, at) SELECT print, seq, ${nowMs} FROM sorted
     ON CONFLICT (print) DO UPDATE SET at = s.at RETURNING print, seq, xmax = 0 AS fresh`,
    [[...first.keys()]],
  );
  const found = new Map(rows.map((row) => [row.print, row]));
  return prints.map((print, index) => {
    const { seq, fresh } = found.get(print)!;
    return { seq, isFresh: fresh && first.get(print) === index };
  });
}

function secondKeys(events: NewEvent[], devices: boolean): string[] {
  const keys = events.flatMap(({ installation, email, anonymousId }) => [
    ...(email === null ? [] : [`${installation}/email:${email}`]),
    ...(devices && anonymousId !== null ? [`${installation}/anon:${anonymousId}`] : []),
  ]);
  return [...new Set(keys)];
}

/**
 * Who is nobody's, or a device, may have become somebody's before its lane was locked. A user's email stays the user's:
 * only an erasure takes it away, and that is excluded.
 */
async function assureAliases(tx: Transaction, keys: string[], stored: Map<string, string>): Promise<void> {
  const before = createKinship(knowAliases(stored), { devices: true });
  const unsure = keys.filter((key) => isDevice(key) || !isUser(before.current(key)));
  const now = await readAliases(tx, unsure);
  for (const [key, person] of now) if (stored.get(key) !== person) throw new Again();
}

function boundVisitors(arrivals: Arrival[], lanes: Map<string, Lane>): void {
  const waiting = new Map<string, number>();
  for (const arrival of arrivals) {
    const { person, filtered } = arrival;
    if (filtered !== null || !isDevice(person)) continue;
    const before = waiting.get(person) ?? lanes.get(person)!.queued;
    if (before >= heldPerVisitor) arrival.filtered = 'never_identified';
    else waiting.set(person, before + 1);
  }
}

/** The record that events of this transaction will make. */
async function inherit(tx: Transaction, { from, into }: Join): Promise<void> {
  await tx.query('INSERT INTO joined (person, source) VALUES ($2, $1) ON CONFLICT DO NOTHING', [from, into]);
}

async function insert(tx: Transaction, arrivals: Arrival[]): Promise<void> {
  if (arrivals.length === 0) return;
  const of = <T>(value: (arrival: Arrival) => T): T[] => arrivals.map(value);
  await tx.query(
    `WITH arrived AS (
       SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
         $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::boolean[], $15::text[], $16::text[])
       AS a (seq, installation, message_id, type, name, user_id, email, anonymous_id, received_at, at, decision, payload,
         trace, was_held, line, filtered)),
     kept AS (INSERT INTO event (seq, installation, message_id, type, name, user_id, email, anonymous_id, received_at, at,
         decision, payload, trace, was_held)
       SELECT seq, installation, message_id, type, name, user_id, email, anonymous_id, received_at, at, decision, payload,
         trace, was_held FROM arrived),
     ended AS (INSERT INTO settled (seq, at, status, reason, person, attempts, calls)
       SELECT seq, received_at, 'filtered', filtered, line, 0, 0 FROM arrived WHERE filtered IS NOT NULL),
     queued AS (INSERT INTO job (seq, person) SELECT seq, line FROM arrived WHERE filtered IS NULL)
     UPDATE lane SET queued = lane.queued + more.n,
       due_at = CASE WHEN state = 0 AND lane.queued = 0 THEN ${nowMs} ELSE due_at END
     FROM (SELECT line, count(*)::int AS n FROM arrived WHERE filtered IS NULL GROUP BY line) AS more
     WHERE lane.person = more.line`,
    [
      of(({ seq }) => seq),
      of(({ event }) => event.installation),
      of(({ event }) => event.messageId),
      of(({ event }) => event.type),
      of(({ event }) => event.name),
      of(({ event }) => event.userId),
      of(({ event }) => event.email),
      of(({ event }) => event.anonymousId),
      of(({ event }) => event.receivedAtMs),
      of(({ event }) => event.atMs),
      of(({ event }) => event.decision),
      of(({ event }) => event.payload),
      of(({ event }) => event.trace ?? null),
      of(({ person }) => isDevice(person)),
      of(({ line }) => line),
      of(({ filtered }) => filtered),
    ],
  );
}

function linesOf(arrivals: Arrival[]): Map<string, number> {
  const lines = new Map<string, number>();
  for (const { line, filtered } of arrivals) if (filtered === null) lines.set(line, (lines.get(line) ?? 0) + 1);
  return lines;
}

function deltasOf(arrivals: Arrival[]): Deltas {
  const deltas: Deltas = new Map();
  for (const { line, filtered } of arrivals) {
    add(deltas, 'accepted', 1);
    add(deltas, filtered === null ? queuedIn(installationOf(line)) : 'filtered', 1);
  }
  return deltas;
}

function receiptsOf(seqs: Remembered[], arrivals: Arrival[], originals: Map<number, EventState>): Receipt[] {
  const byIndex = new Map(arrivals.map((arrival) => [arrival.index, arrival]));
  return seqs.map(({ seq }, index): Receipt => {
    const arrival = byIndex.get(index);
    if (arrival === undefined) return { duplicate: true, id: idOf(seq), original: originals.get(seq)! };
    const { filtered, person } = arrival;
    if (filtered !== null) return { duplicate: false, id: idOf(seq), status: 'filtered', reason: filtered };
    const receipt: Receipt = { duplicate: false, id: idOf(seq), status: 'queued', reason: null };
    return isDevice(person) ? { ...receipt, isHeld: true } : receipt;
  });
}

function storableEvent(event: NewEvent): NewEvent {
  const { messageId, name, userId, email, anonymousId } = event;
  if (![messageId, name, userId, email, anonymousId].some((text) => text?.includes('\0'))) return event;
  return {
    ...event,
    messageId: storable(messageId),
    name: storable(name),
    userId: storable(userId),
    email: storable(email),
    anonymousId: storable(anonymousId),
  };
}

/** The key that an event is known by first. */
export function keyOf({ installation, userId, email, anonymousId }: NewEvent): string {
  if (userId !== null) return `${installation}/user:${userId}`;
  return email !== null ? `${installation}/email:${email}` : `${installation}/anon:${anonymousId ?? ''}`;
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
