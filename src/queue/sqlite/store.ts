import type {
  Attempt,
  EventState,
  EventStatus,
  Job,
  Lease,
  NewEvent,
  Progress,
  QueueStats,
  Receipt,
  Retry,
} from '../queue.ts';
import { type Database, schema } from './database.ts';
import { createLanes } from './lanes.ts';
import { isDevice, openPeople } from './people.ts';
import { openSeen } from './seen.ts';
import { statements } from './statements.ts';

/**
 * The rules of the queue on one SQLite connection: what is written for an event, who may be leased, what a
 * settlement changes. Every write runs inside a transaction of the caller; what it means for the memory (lanes,
 * leases, totals) is applied by `commit` alone, so that a failed transaction leaves no trace.
 */
export type Store = ReturnType<typeof openStore>;

type HeldLease = {
  lane: number;
  epoch: number;
  person: string;
  sources: string[];
  attempts: Map<number, number>;
};

type Totals = { accepted: number; delivered: number; filtered: number; dead: number };

export function openStore(db: Database, options: { holdAnonymous: boolean }) {
  db.exec(schema);
  const sql = statements(db);
  const lanes = createLanes();
  const people = openPeople(db, { devices: options.holdAnonymous });
  const seen = openSeen(db);
  const leases = new Map<string, HeldLease>();
  const totals = readTotals(db);
  let nextSeq = Number(sql.lastSeq.get()?.seq ?? 0) + 1;
  let withholding = Number(sql.consentRows.get()?.n ?? 0) > 0;
  let tokens = 0;

  for (const row of sql.allJobs.iterate()) {
    const person = people.current(String(row.person));
    lanes.add(person, Number(row.seq), isDevice(person), Number(row.due_at));
  }

  // The running transaction.
  let effects: (() => void)[] = [];
  let delta = zero();
  let firstSeq = nextSeq;
  let arriving = new Set<string>();

  function enqueue(events: NewEvent[]): Receipt[] {
    return events.map(enqueueOne);
  }

  function enqueueOne(event: NewEvent): Receipt {
    const known = seen.find(event.installation, event.messageId);
    if (known !== undefined) return { duplicate: true, id: idOf(known), original: stateOf(known) };
    const seq = nextSeq;
    nextSeq += 1;
    sql.insertEvent.run(
      seq,
      event.installation,
      event.messageId,
      event.type,
      event.name,
      event.userId,
      event.email,
      event.anonymousId,
      event.receivedAtMs,
      event.atMs,
      event.decision,
      event.payload,
    );
    seen.add(event.installation, event.messageId, seq, event.receivedAtMs);
    const person = people.resolve(event, join);
    rememberConsent(person, event);
    delta.accepted += 1;
    if (event.filtered !== null) {
      sql.insertSettled.run(seq, event.receivedAtMs, 'filtered', event.filtered, person, 0, null, 0, null);
      delta.filtered += 1;
      return { duplicate: false, id: idOf(seq), status: 'filtered' };
    }
    sql.insertJob.run(seq, person);
    arriving.add(person);
    effects.push(() => lanes.add(person, seq, isDevice(person)));
    return { duplicate: false, id: idOf(seq), status: 'queued' };
  }

  function join(from: string, into: string): void {
    // A record that exists, or may still come into being by jobs that are queued or in flight.
    if (sql.contact.get(from) !== undefined || lanes.jobsOf(from).length > 0 || arriving.has(from))
      sql.insertJoined.run(into, from);
    for (const row of sql.joined.all(from)) sql.insertJoined.run(into, String(row.source));
    sql.deleteJoined.run(from);
    if (withholding) sql.moveConsent.run(into, from);
    effects.push(() => lanes.join(from, into));
  }

  /**
   * Only people who ever withheld something have a row. A time in the future counts as now, so that a wrong clock
   * cannot make an old consent outlive a newer refusal.
   */
  function rememberConsent(person: string, event: NewEvent): void {
    if (event.consent === null) return;
    const { functional, marketing } = event.consent;
    const withholds = !functional || !marketing;
    if (!withholds && !withholding) return;
    if (!withholds && sql.consent.get(person) === undefined) return;
    withholding = true;
    sql.upsertConsent.run(person, Math.min(event.atMs, event.receivedAtMs), Number(functional), Number(marketing));
  }

  function lease(nowMs: number, limits: { people: number; jobsEach: number }): Lease[] {
    return lanes.take(nowMs, limits.people).flatMap((lane) => {
      const made = leaseLane(lane, limits.jobsEach);
      if (made === undefined) lanes.release(lane, 0);
      return made ?? [];
    });
  }

  function leaseLane(lane: number, limit: number): Lease | undefined {
    const rows = lanes
      .head(lane, limit)
      .map((seq) => sql.job.get(seq))
      .filter((row) => row !== undefined);
    const head = rows[0];
    if (head === undefined) return undefined;
    const person = people.current(String(head.person));
    // Two people may share a lane, by their hashes: the lease is for the first of them.
    const others = rows.findIndex((row) => people.current(String(row.person)) !== person);
    const own = others < 0 ? rows : rows.slice(0, others);
    const sources = sql.joined.all(person).map((row) => String(row.source));
    const consent = withholding ? sql.consent.get(person) : undefined;
    tokens += 1;
    const token = String(tokens);
    leases.set(token, {
      lane,
      epoch: lanes.epoch(lane),
      person,
      sources,
      attempts: new Map(own.map((row) => [Number(row.seq), Number(row.attempts)])),
    });
    const slash = person.indexOf('/');
    return {
      installation: person.slice(0, slash),
      person: person.slice(slash + 1),
      record: textOrNull(sql.contact.get(person)?.record),
      joined: sources.flatMap((source) => textOrNull(sql.contact.get(source)?.record) ?? []),
      consent: consent
        ? { functional: consent.functional === 1, marketing: consent.marketing === 1, atMs: Number(consent.at) }
        : null,
      jobs: own.map(toJob),
      more: lanes.size(lane) > own.length,
      token,
    };
  }

  function settle(token: string, progress: Progress, nowMs: number): void {
    const held = leases.get(token);
    if (!held) return;
    for (const { id, createdAtSeconds } of progress.chosen ?? []) sql.setCreatedAt.run(createdAtSeconds, seqOf(id));
    for (const done of progress.done) {
      const seq = seqOf(done.id);
      const attempts = held.attempts.get(seq);
      if (attempts === undefined) continue;
      const createdAt = sql.jobCreatedAt.get(seq)?.created_at ?? null;
      sql.deleteJob.run(seq);
      insertAttempt(seq, attempts + 1, nowMs, done.status, done.reason, done.attempt);
      sql.insertSettled.run(
        seq,
        nowMs,
        done.status,
        done.reason,
        held.person,
        attempts + 1,
        done.attempt.intercomStatus,
        done.attempt.calls,
        createdAt,
      );
      delta[done.status] += 1;
      held.attempts.delete(seq);
      effects.push(() => lanes.drop(held.lane, seq));
    }
    const slash = held.person.indexOf('/');
    for (const { key, record: text } of progress.shared ?? [])
      sql.upsertContact.run(`${held.person.slice(0, slash)}/${key}`, text);
    if (progress.record === undefined) return;
    sql.upsertContact.run(held.person, progress.record);
    for (const source of held.sources) {
      sql.deleteContact.run(source);
      sql.deleteJoinedSource.run(held.person, source);
    }
    held.sources = [];
  }

  function release(token: string, retry: Retry | undefined, nowMs: number): void {
    const held = leases.get(token);
    if (!held) return;
    leases.delete(token);
    const dueAtMs = retry && retry.afterMs > 0 ? nowMs + Math.ceil(retry.afterMs) : 0;
    const first = held.attempts.entries().next().value;
    if (retry && first) {
      const [seq, attempts] = first;
      const counted = attempts + (retry.countAttempt ? 1 : 0);
      sql.postponeJob.run(dueAtMs, counted, seq);
      if (retry.attempt && retry.countAttempt) insertAttempt(seq, counted, nowMs, 'retry', retry.reason, retry.attempt);
    }
    effects.push(() => lanes.release(held.lane, dueAtMs));
  }

  function insertAttempt(
    seq: number,
    n: number,
    nowMs: number,
    outcome: string,
    reason: string | null,
    attempt: Attempt,
  ): void {
    sql.insertAttempt.run(
      seq,
      n,
      nowMs,
      outcome,
      reason,
      attempt.intercomStatus,
      attempt.calls,
      Math.round(attempt.ms),
      attempt.exchange,
    );
  }

  function record(key: string): string | null {
    return textOrNull(sql.contact.get(key)?.record);
  }

  function states(ids: string[]): [string, EventState][] {
    return ids.flatMap((id) => {
      const seq = seqOf(id);
      return Number.isSafeInteger(seq) && sql.event.get(seq) !== undefined ? [[id, stateOf(seq)]] : [];
    });
  }

  function stateOf(seq: number): EventState {
    const row = sql.settled.get(seq);
    const queued = row === undefined && sql.isQueued.get(seq) !== undefined;
    return {
      id: idOf(seq),
      // An id outlives its event's row only when RETENTION_DAYS is shorter than the window: then it was settled.
      status: row ? readStatus(row.status) : queued ? 'queued' : 'delivered',
      reason: textOrNull(row?.reason),
      intercomStatus: row?.intercom_status == null ? null : Number(row.intercom_status),
      calls: Number(row?.calls ?? 0),
    };
  }

  function stats(): QueueStats {
    const { jobs, people: count, waiting, leased } = lanes.counts();
    const oldest = sql.oldestQueued.get()?.received_at;
    return {
      ...totals,
      queued: jobs,
      people: count,
      waiting,
      leased,
      oldestQueuedAtMs: oldest == null ? null : Number(oldest),
    };
  }

  function begin(): void {
    db.exec('BEGIN IMMEDIATE');
    firstSeq = nextSeq;
  }

  function commit(): void {
    for (const name of ['accepted', 'delivered', 'filtered', 'dead'] as const) {
      if (delta[name] !== 0) sql.addTotal.run(delta[name], name);
    }
    db.exec('COMMIT');
    for (const name of ['accepted', 'delivered', 'filtered', 'dead'] as const) totals[name] += delta[name];
    for (const effect of effects) effect();
    seen.commit();
    forget();
  }

  function rollback(): void {
    try {
      db.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself, as it does when the disk is full.
    }
    nextSeq = firstSeq;
    seen.rollback();
    people.rollback();
    forget();
  }

  function forget(): void {
    effects = [];
    delta = zero();
    arriving = new Set();
  }

  return {
    begin,
    commit,
    rollback,
    enqueue,
    settle,
    release,
    lease,
    record,
    probe: () => void sql.addTotal.run(0, 'accepted'),
    states,
    stats,
    tidy: seen.tidy,
    queued: () => lanes.counts().jobs,
    ready: lanes.ready,
    nextDueAtMs: lanes.nextDueAtMs,
  };
}

function readTotals(db: Database): Totals {
  const totals = zero();
  for (const row of db.prepare('SELECT name, n FROM total').all()) {
    if (row.name === 'accepted' || row.name === 'delivered' || row.name === 'filtered' || row.name === 'dead') {
      totals[row.name] = Number(row.n);
    }
  }
  return totals;
}

const zero = (): Totals => ({ accepted: 0, delivered: 0, filtered: 0, dead: 0 });

/** Ids sort as the events were accepted. */
const idOf = (seq: number): string => `evt_${seq.toString(36).padStart(9, '0')}`;
const seqOf = (id: string): number => (/^evt_[0-9a-z]{9,}$/.test(id) ? Number.parseInt(id.slice(4), 36) : Number.NaN);

function toJob(row: Record<string, unknown>): Job {
  return {
    id: idOf(Number(row.seq)),
    attempt: Number(row.attempts) + 1,
    receivedAtMs: Number(row.received_at),
    atMs: Number(row.at),
    createdAtSeconds: row.created_at === null ? null : Number(row.created_at),
    payload: String(row.payload),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function readStatus(value: unknown): EventStatus {
  if (value === 'delivered' || value === 'filtered' || value === 'dead') return value;
  throw new Error(`the database holds an event with the unknown status ${String(value)}`);
}
