import type { Attempt, Done, Job, Lease, LeaseLimits, NewestConsent, Progress, Retry, Standing } from '../queue.ts';
import type { Clock } from './clock.ts';
import type { Erasing } from './erasing.ts';
import { idOf, seqOf } from '../event-id.ts';
import type { LaneSets } from './lane-sets.ts';
import type { Lanes } from './lanes.ts';
import type { People } from './people.ts';
import type { Statements } from './statements.ts';
import type { Transaction } from './transaction.ts';

/** People handed out, and what comes back of them. A token that is not known any more changes nothing. */
export type Leases = {
  lease(limits: LeaseLimits): Lease[];
  /** By token, as of the last transaction. */
  standings(): [token: string, standing: Standing | null][];
  settle(token: string, progress: Progress, nowMs: number): void;
  release(token: string, retry: Retry | undefined, nowMs: number): void;
  /** People who are being erased: what is under way for them is void, and what it learns goes to the new names. */
  rename(names: Map<string, string>): void;
};

/** How soon a person that has to wait for an erasure is looked at again. */
const lookAgainMs = 250;

type Held = {
  lanes: Lanes;
  lane: number;
  /** With its installation. */
  person: string;
  sources: string[];
  /** Of the jobs that have not ended, by seq: the attempts counted so far. */
  attempts: Map<number, number>;
  /** Its person is being erased. */
  isVoid: boolean;
  /** Its release is part of the running transaction: what comes after it in the same one comes too late. */
  isEnding: boolean;
};

export function createLeases(parts: {
  sql: Statements;
  transaction: Transaction;
  lanes: LaneSets;
  people: People;
  erasing: Erasing;
  clock: Clock;
}): Leases {
  const { sql, transaction, lanes, people, erasing, clock } = parts;
  const leases = new Map<string, Held>();
  let tokens = 0;

  function lease(limits: LeaseLimits): Lease[] {
    const nowMs = clock.steadyMs();
    const own = lanes.in(limits.installation);
    return own.take(nowMs, limits.people).flatMap((lane) => {
      const made = leaseLane(own, lane, limits.jobsEach, nowMs);
      if (made === undefined) own.release(lane);
      return made ?? [];
    });
  }

  function leaseLane(within: Lanes, lane: number, limit: number, nowMs: number): Lease | undefined {
    const rows = within
      .head(lane, limit, nowMs)
      .map((seq) => sql.job.get(seq))
      .filter((row) => row !== undefined);
    const head = rows[0];
    if (head === undefined) return undefined;
    const person = people.current(String(head.person));
    if (hasToWait(person)) {
      within.postpone(lane, new Set([Number(head.seq)]), nowMs + lookAgainMs);
      return undefined;
    }
    // Two people may share a lane, by their hashes: the lease is for the first of them.
    const others = rows.findIndex((row) => people.current(String(row.person)) !== person);
    const own = others < 0 ? rows : rows.slice(0, others);
    const sources = sql.joined.all(person).map((row) => String(row.source));
    tokens += 1;
    const token = String(tokens);
    const attempts = new Map(own.map((row) => [Number(row.seq), Number(row.attempts)]));
    leases.set(token, { lanes: within, lane, person, sources, attempts, isVoid: false, isEnding: false });
    const slash = person.indexOf('/');
    return {
      installation: person.slice(0, slash),
      person: person.slice(slash + 1),
      record: textOrNull(sql.contact.get(person)?.record),
      joined: sources.flatMap((source) => textOrNull(sql.contact.get(source)?.record) ?? []),
      erasure: erasing.of(person),
      consent: consentOf(person),
      jobs: own.map(toJob),
      more: within.size(lane) > own.length,
      token,
    };
  }

  /** For the erasure of who had the key before; and the erasure for what is in flight, and may make a contact. */
  function hasToWait(person: string): boolean {
    if (erasing.blocks(person)) return true;
    return erasing.of(person) !== null && [...leases.values()].some((held) => held.isVoid && isOf(held.person, person));
  }

  function rename(names: Map<string, string>): void {
    for (const held of leases.values()) {
      const name = names.get(held.person);
      if (name === undefined) continue;
      const { person, sources, attempts } = held;
      Object.assign(held, { person: name, sources: [], attempts: new Map(), isVoid: true });
      transaction.afterRollback(() => void Object.assign(held, { person, sources, attempts, isVoid: false }));
    }
  }

  function consentOf(person: string): NewestConsent | null {
    const row = sql.consent.get(person);
    return row ? { functional: row.functional === 1, marketing: row.marketing === 1, atMs: Number(row.at) } : null;
  }

  function standings(): [string, Standing | null][] {
    return [...leases].map(([token, { person, isVoid }]) => [
      token,
      isVoid ? null : { consent: consentOf(people.current(person)) },
    ]);
  }

  function settle(token: string, progress: Progress, nowMs: number): void {
    const held = leases.get(token);
    if (!held || held.isEnding) return;
    for (const { id, createdAtSeconds } of progress.chosen ?? []) sql.setCreatedAt.run(createdAtSeconds, seqOf(id));
    for (const done of progress.done) settleJob(held, done, nowMs);
    const installation = held.person.slice(0, held.person.indexOf('/'));
    for (const { key, record } of progress.shared ?? []) sql.upsertContact.run(`${installation}/${key}`, record);
    if (progress.record === undefined) return;
    sql.upsertContact.run(held.person, progress.record);
    for (const source of held.sources) {
      sql.deleteContact.run(source);
      sql.deleteJoinedSource.run(held.person, source);
    }
    transaction.afterCommit(() => {
      held.sources = [];
    });
  }

  function settleJob(held: Held, { id, status, reason, attempt }: Done, nowMs: number): void {
    const seq = seqOf(id);
    const attempts = held.attempts.get(seq);
    if (attempts === undefined) return;
    held.attempts.delete(seq);
    transaction.afterRollback(() => void held.attempts.set(seq, attempts));
    const n = attempts + 1;
    const createdAt = sql.jobCreatedAt.get(seq)?.created_at ?? null;
    const calls = attempt.calls + (attempts > 0 ? Number(sql.triedJob.get(seq)?.calls) : 0);
    sql.deleteJob.run(seq);
    insertAttempt(seq, nowMs, status, reason, attempt);
    sql.insertSettled.run(seq, nowMs, status, reason, held.person, n, attempt.intercomStatus, calls, createdAt);
    transaction.count(status, 1);
    transaction.afterCommit(() => held.lanes.drop(held.lane, seq));
  }

  function release(token: string, retry: Retry | undefined, nowMs: number): void {
    const held = leases.get(token);
    if (!held || held.isEnding) return;
    held.isEnding = true;
    transaction.afterRollback(() => {
      held.isEnding = false;
    });
    const waitsMs = retry && retry.afterMs > 0 ? Math.ceil(retry.afterMs) : 0;
    const tried = retry ? seqOf(retry.id) : Number.NaN;
    // Whoever waits, waits with the jobs before the tried one, too: what was to be sent after it stays behind it.
    const postponed = new Set([...held.attempts.keys()].filter((seq) => seq <= tried || Number.isNaN(tried)));
    if (retry) {
      for (const seq of postponed) sql.postponeJob.run(waitsMs && nowMs + waitsMs, seq);
      if (retry.countAttempt && postponed.has(tried)) countAttempt(held, tried, retry, nowMs);
    }
    transaction.afterCommit(() => {
      leases.delete(token);
      held.lanes.postpone(held.lane, postponed, waitsMs && clock.steadyMs() + waitsMs);
      held.lanes.release(held.lane);
    });
  }

  function countAttempt(held: Held, seq: number, { reason, attempt }: Retry, nowMs: number): void {
    const n = held.attempts.get(seq)! + 1;
    sql.setAttempts.run(n, seq);
    if (attempt) insertAttempt(seq, nowMs, 'retry', reason, attempt);
  }

  function insertAttempt(seq: number, nowMs: number, outcome: string, reason: string | null, attempt: Attempt): void {
    const { intercomStatus, calls, ms, exchange } = attempt;
    const n = Number(sql.lastAttempt.get(seq)?.n) + 1;
    sql.insertAttempt.run(seq, n, nowMs, outcome, reason, intercomStatus, calls, Math.round(ms), exchange);
  }

  return { lease, standings, settle, release, rename };
}

/** The erasure itself, or the name that it gave to somebody who was joined to the person. */
const isOf = (name: string, erasure: string): boolean => name === erasure || name.startsWith(`${erasure}.`);

function toJob(row: Record<string, unknown>): Job {
  return {
    id: idOf(Number(row.seq)),
    attempt: Number(row.attempts) + 1,
    receivedAtMs: Number(row.received_at),
    atMs: Number(row.at),
    createdAtSeconds: row.created_at === null ? null : Number(row.created_at),
    wasHeld: row.was_held === 1,
    payload: String(row.payload),
    ...(typeof row.traceparent === 'string' && { trace: row.traceparent }),
  };
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
