import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import type {
  Attempt,
  EventDetail,
  EventState,
  Lease,
  LeaseLimits,
  NewestConsent,
  NewEvent,
  Progress,
  QueueStats,
  Receipt,
  Retry,
} from '../../src/queue/queue.ts';
import { createLinesModel, type Holder, isVisitor } from './lines-model.ts';

/**
 * The queue's contract as arrays and maps. It is told what the engine answered, and says whether that was right.
 *
 * Taken from the engine's own documentation, since the contract leaves it open: an email stays with the first user
 * that had it, a device goes to the user seen on it last; of two joined people with consents of the same time, the
 * one joined to keeps its own; a consent that withholds nothing counts only after one that did. Where both come in one
 * transaction, with a join, the newer of them may count though it came first.
 */
export type QueueModel = ReturnType<typeof createQueueModel>;

export type OpenLease = {
  lease: Lease;
  holder: Holder;
  person: string;
  sources: string[];
  ended: boolean;
};

type Accepted = {
  event: NewEvent;
  /** The key that it came with. */
  key: string;
  /** Whose it was when it ended. */
  endedWith: string | null;
  state: EventState;
  /** Since the last redrive, and what became of each. */
  attempts: number;
  history: Tried[];
  createdAtSeconds: number | null;
};

type Tried = { outcome: string; intercomStatus: number | null; calls: number };

export function createQueueModel(options: { holdAnonymous: boolean }) {
  const lines = createLinesModel();
  /** By acceptance; the index is the job's number in the lines. */
  const accepted: Accepted[] = [];
  const records = new Map<string, string>();
  const sources = new Map<string, Set<string>>();
  const consents = new Map<string, NewestConsent>();
  /** All that was ever said of a person. */
  const said = new Map<string, NewestConsent[]>();
  let leases: OpenLease[] = [];

  const byId = (id: string): number => accepted.findIndex(({ state }) => state.id === id);

  function judgeEnqueued(events: NewEvent[], receipts: Receipt[]): void {
    assert.equal(receipts.length, events.length, 'a receipt for each event');
    for (const [index, event] of events.entries()) judgeReceipt(event, receipts[index]!);
  }

  function judgeReceipt(event: NewEvent, receipt: Receipt): void {
    const known = accepted.find(
      (other) => other.event.messageId === event.messageId && other.event.installation === event.installation,
    );
    if (known) {
      assert.ok(receipt.duplicate, `${event.messageId} is a duplicate`);
      assert.equal(receipt.id, known.state.id);
      judgeState(known, receipt.original);
      return;
    }
    const status = event.filtered === null ? 'queued' : 'filtered';
    assert.equal(byId(receipt.id), -1, 'an id is given once');
    const person = personOf(event);
    const held = status === 'queued' && isVisitor(person) ? { isHeld: true } : {};
    assert.deepEqual(receipt, { duplicate: false, id: receipt.id, status, reason: event.filtered, ...held });
    rememberConsent(person, event);
    const state = {
      id: receipt.id,
      status,
      reason: event.filtered,
      intercomStatus: null,
      calls: 0,
    } as const;
    accepted.push({
      event,
      key: person,
      endedWith: null,
      state,
      attempts: 0,
      history: [],
      createdAtSeconds: null,
    });
    if (status === 'queued') lines.add(person, accepted.length - 1);
  }

  function personOf({ installation, userId, email, anonymousId }: NewEvent): string {
    const user = userId === null ? null : `${installation}/user:${userId}`;
    const mail = email === null ? null : `${installation}/email:${email}`;
    const device = anonymousId === null ? null : `${installation}/anon:${anonymousId}`;
    const person = lines.ownerOf(user ?? mail ?? device ?? `${installation}/anon:`);
    if (mail !== null) tie(mail, person);
    if (device !== null && options.holdAnonymous) tie(device, person);
    return person;
  }

  function tie(key: string, person: string): void {
    const owner = lines.ownerOf(key);
    if (owner === person) return;
    if (!isUser(owner)) join(owner, person);
    else if (isVisitor(key) && isUser(person)) lines.give(key, person);
  }

  function join(from: string, into: string): void {
    const all = sources.get(into) ?? new Set();
    for (const source of [from, ...(sources.get(from) ?? [])]) all.add(source);
    sources.set(into, all);
    const consent = consents.get(from);
    if (consent && consent.atMs > (consents.get(into)?.atMs ?? -Infinity)) consents.set(into, consent);
    said.set(into, [...(said.get(into) ?? []), ...(said.get(from) ?? [])]);
    lines.join(from, into);
  }

  function rememberConsent(person: string, { consent, atMs, receivedAtMs }: NewEvent): void {
    if (consent === null) return;
    const before = consents.get(person);
    const statement = { ...consent, atMs: Math.min(atMs, receivedAtMs) };
    said.set(person, [...(said.get(person) ?? []), statement]);
    if (!before && consent.functional && consent.marketing) return;
    if (statement.atMs >= (before?.atMs ?? -Infinity)) consents.set(person, statement);
  }

  function consentOf(person: string, given: NewestConsent | null): NewestConsent | null {
    const consent = consents.get(person);
    if (!consent) return null;
    const isNewer = ({ atMs }: NewestConsent): boolean => atMs > consent.atMs;
    return said.get(person)?.find((one) => isNewer(one) && isDeepStrictEqual(one, given)) ?? consent;
  }

  function judgeLeased(given: Lease[], limits: LeaseLimits, nowMs: number): OpenLease[] {
    const people = given.map(({ installation, person }) => `${installation}/${person}`);
    lines.judgeTaken(people, limits.people, nowMs, (person) => person.startsWith(`${limits.installation}/`));
    for (const [index, lease] of given.entries()) {
      const person = people[index]!;
      assert.deepEqual({ ...lease, joined: lease.joined.toSorted() }, expectedLease(lease, person, limits, nowMs));
      const own = [...(sources.get(person) ?? [])];
      leases.push({ lease, holder: lines.lease(person), person, sources: own, ended: false });
    }
    assert.equal(new Set(leases.map(({ lease }) => lease.token)).size, leases.length, 'a token is given once');
    return leases.slice(leases.length - given.length);
  }

  function expectedLease(given: Lease, person: string, { jobsEach }: { jobsEach: number }, nowMs: number): Lease {
    const jobs = lines.dueLine(person, nowMs).slice(0, jobsEach);
    const slash = person.indexOf('/');
    return {
      installation: person.slice(0, slash),
      person: person.slice(slash + 1),
      record: records.get(person) ?? null,
      joined: [...(sources.get(person) ?? [])].flatMap((source) => records.get(source) ?? []).toSorted(),
      erasure: null,
      consent: consentOf(person, given.consent),
      jobs: jobs.map((seq) => {
        const { event, state, attempts, createdAtSeconds, key } = accepted[seq]!;
        return {
          id: state.id,
          attempt: attempts + 1,
          receivedAtMs: event.receivedAtMs,
          atMs: event.atMs,
          createdAtSeconds,
          wasHeld: isVisitor(key),
          payload: event.payload,
        };
      }),
      more: lines.line(person).length > jobs.length,
      token: given.token,
    };
  }

  function settled(open: OpenLease, progress: Progress): void {
    if (open.ended) return;
    for (const { id, createdAtSeconds } of progress.chosen ?? []) {
      const job = accepted[byId(id)]!;
      if (job.state.status === 'queued') job.createdAtSeconds = createdAtSeconds;
    }
    for (const { id, status, reason, attempt } of progress.done) {
      const seq = byId(id);
      if (!inFlight(open).includes(id)) continue;
      const job = accepted[seq]!;
      job.endedWith = open.holder.person;
      job.attempts += 1;
      job.state = { ...job.state, status, reason };
      remember(job, status, attempt);
      lines.drop(seq);
      open.lease = { ...open.lease, jobs: open.lease.jobs.filter((job) => job.id !== id) };
    }
    for (const { key, record } of progress.shared ?? []) records.set(`${open.lease.installation}/${key}`, record);
    if (progress.record === undefined) return;
    records.set(open.person, progress.record);
    for (const source of open.sources) records.delete(source);
    open.sources = [];
  }

  function remember(job: Accepted, outcome: string, { intercomStatus, calls }: Attempt): void {
    job.history.push({ outcome, intercomStatus, calls });
    job.state = { ...job.state, intercomStatus, calls: job.state.calls + calls };
  }

  /** The jobs of a lease that have not ended yet. */
  function inFlight(open: OpenLease): string[] {
    return open.lease.jobs.map(({ id }) => id);
  }

  function released(open: OpenLease, retry: Retry | undefined, nowMs: number): void {
    if (open.ended) return;
    open.ended = true;
    if (!retry) {
      lines.release(open.holder);
      return;
    }
    const tried = byId(retry.id);
    const job = accepted[tried]!;
    if (retry.countAttempt && retry.attempt && inFlight(open).includes(retry.id)) {
      job.attempts += 1;
      remember(job, 'retry', retry.attempt);
    }
    const seqs = inFlight(open)
      .map(byId)
      .filter((seq) => seq <= tried);
    lines.release(open.holder, { seqs, dueAtMs: retry.afterMs > 0 ? nowMs + retry.afterMs : 0 });
  }

  function judgeRedriven(ids: string[], count: number): void {
    const dead = [...new Set(ids)].filter((id) => accepted[byId(id)]?.state.status === 'dead');
    assert.equal(count, dead.length, 'redriven');
    for (const id of dead) {
      const job = accepted[byId(id)]!;
      job.state = { id, status: 'queued', reason: null, intercomStatus: null, calls: 0 };
      job.attempts = 0;
      lines.add(lines.ownerOf(job.endedWith ?? job.key), byId(id));
    }
  }

  function restarted(): void {
    for (const open of leases) open.ended = true;
    leases = [];
    lines.restart();
  }

  function judgeState(known: Accepted, state: EventState | undefined): void {
    assert.deepEqual(state, known.state, `the state of ${known.event.messageId}`);
  }

  function judgeStates(states: Map<string, EventState>): void {
    assert.equal(states.size, accepted.length, 'every accepted event has a state');
    for (const known of accepted) judgeState(known, states.get(known.state.id));
  }

  function judgeStories(stories: (EventDetail | null)[]): void {
    assert.deepEqual(
      stories.map((story) => story && told(story)),
      accepted.map(({ event, state, attempts, createdAtSeconds, history }) => ({
        ...state,
        payload: event.payload,
        attempts,
        createdAtSeconds,
        history: history.map((tried, index) => ({ n: index + 1, ...tried })),
      })),
    );
  }

  function judgeStats(stats: QueueStats, nowMs: number): void {
    const count = (status: string): number => accepted.filter(({ state }) => state.status === status).length;
    const { delivered, filtered, dead, queued, people, waiting, leased, held, oldestQueuedAtMs } = stats;
    const oldest = lines.oldest();
    assert.deepEqual(
      { accepted: stats.accepted, delivered, filtered, dead, queued, oldestQueuedAtMs },
      {
        accepted: accepted.length,
        delivered: count('delivered'),
        filtered: count('filtered'),
        dead: count('dead'),
        queued: count('queued'),
        oldestQueuedAtMs: oldest === undefined ? null : accepted[oldest]!.event.receivedAtMs,
      },
    );
    lines.judgeCounts({ jobs: queued, people, waiting, leased, held }, nowMs);
  }

  return {
    judgeEnqueued,
    judgeLeased,
    settled,
    released,
    judgeRedriven,
    restarted,
    judgeStates,
    judgeStories,
    judgeStats,
    ids: (): string[] => accepted.map(({ state }) => state.id),
    /** All of this life of the engine, the ended ones too. */
    leases: (): OpenLease[] => leases,
    record: (key: string): string | null => records.get(key) ?? null,
  };
}

const isUser = (person: string): boolean => person.includes('/user:');

function told({
  id,
  status,
  reason,
  intercomStatus,
  calls,
  payload,
  attempts,
  createdAtSeconds,
  history,
}: EventDetail) {
  return {
    id,
    status,
    reason,
    intercomStatus,
    calls,
    payload,
    attempts,
    createdAtSeconds,
    history: history.map(({ n, outcome, intercomStatus, calls }) => ({ n, outcome, intercomStatus, calls })),
  };
}
