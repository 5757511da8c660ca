import { setTimeout as delay } from 'node:timers/promises';
import type { Desk, Destination, Step } from '../intercom/destination.ts';
import type { Attempt, Done, EventState, Job, Lease, NewestConsent, Progress, Queue, Retry } from '../queue/queue.ts';
import { QueueUnavailable } from '../queue/queue.ts';
import type { Gate } from './gate.ts';
import { retryDelayMs } from './retry.ts';

/** Moves jobs from the queue to the destination: leases people, hands them over, and settles what comes back. */
export type Dispatcher = {
  start(): void;
  /** The gate has opened, or somebody may be due. */
  wake(): void;
  /** Leases nothing more, lets what is in flight end within `graceMs`, and gives the rest back. May be called twice. */
  stop(graceMs: number): Promise<void>;
  active(): number;
};

export type DispatcherOptions = {
  installation: string;
  queue: Queue;
  destination: Destination;
  gate: Gate;
  concurrency: number;
  retryMaxAgeMs: number;
  /** Whether a person's newest consent still allows an event that was accepted. */
  mayStillSend(newest: NewestConsent | null): Desk['mayStillSend'];
  onSettled(states: EventState[]): void;
  onAttempt(attempt: AttemptReport): void;
  /** A job waits for its next attempt, and that is written down. */
  onPostponed(id: string): void;
  now?: () => number;
};

export type AttemptReport = {
  lease: Lease;
  step: Step;
  outcome: string;
  reason: string | null;
  status: number | null;
  attempt: number;
  retryInMs: number | null;
};

/** Long enough that identifies in a row become one call, short enough that a person gives the slot back. */
export const jobsEach = 50;
const storeAgainAfterMs = 1000;

export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const { queue, destination, gate } = options;
  const now = options.now ?? Date.now;
  const stopping = new AbortController();
  const aborting = new AbortController();
  let active = 0;
  let leasing = false;
  let again = false;
  let started = false;
  let idle = (): void => {};

  async function pump(): Promise<void> {
    if (leasing) {
      again = true;
      return;
    }
    leasing = true;
    try {
      do {
        again = false;
        const slots = options.concurrency - active;
        if (!started || slots <= 0 || stopping.signal.aborted || !gate.isOpen()) return;
        const leases = await queue.lease({ installation: options.installation, people: slots, jobsEach });
        for (const lease of leases) void work(lease);
      } while (again);
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) throw error; // the queue wakes us when it is back
    } finally {
      leasing = false;
      if (active === 0) idle();
    }
  }

  async function work(lease: Lease): Promise<void> {
    active += 1;
    try {
      const retry = gate.isOpen() ? await deliver(lease) : undefined;
      await store(() => queue.release(lease, retry));
      if (retry?.countAttempt) options.onPostponed(retry.id);
    } finally {
      active -= 1;
      if (active === 0 && !leasing) idle();
      void pump();
    }
  }

  /** The lease from its first step to its last; how long the person is to wait, where a step did not end its jobs. */
  async function deliver(lease: Lease): Promise<Retry | undefined> {
    // One write after the other: where one has to be repeated, an older record must not overwrite a newer one.
    let writes = Promise.resolve();
    let { consent } = lease;
    const write = (progress: Progress): Promise<void> => {
      writes = writes.then(() => store(() => queue.settle(lease, progress)));
      return writes;
    };
    const desk: Desk = {
      patience: { stop: stopping.signal, abort: aborting.signal },
      save: (record, shared) => write({ done: [], record, shared }),
      async alone(key, errand) {
        const end = await store(() => queue.turn(lease.installation, key));
        try {
          return await errand();
        } finally {
          await end?.();
        }
      },
      choose: (id, createdAtSeconds, record) => write({ done: [], chosen: [{ id, createdAtSeconds }], record }),
      shared: async (key) => (await store(() => queue.record(lease.installation, key))) ?? null,
      async mayGoOn() {
        if (!gate.isOpen()) return false; // held or paused meanwhile: nobody's next call is begun
        const standing = await queue.standing(lease);
        if (standing) consent = standing.consent;
        return standing !== null;
      },
      mayStillSend: (event, job) => options.mayStillSend(consent)(event, job),
    };
    const settle = (step: Step, status: Done['status'], reason: string | null): void => {
      const done = doneJobs(step, status, reason);
      void write({ done, record: step.record, shared: step.shared }).then(() => options.onSettled(done.map(stateOf)));
      report(lease, step, status, reason, null);
    };
    let retry: Retry | undefined;
    for await (const step of destination.deliver(lease, desk)) {
      const { outcome } = step;
      switch (outcome.kind) {
        case 'delivered':
          gate.succeeded();
          settle(step, 'delivered', mergedReason(step));
          break;
        case 'filtered':
          settle(step, 'filtered', outcome.reason);
          break;
        case 'rejected':
          if (outcome.status !== null) gate.succeeded();
          settle(step, 'dead', outcome.reason);
          break;
        case 'hold':
          gate.hold(outcome.reason);
          void write({ done: [], record: step.record, shared: step.shared });
          retry = {
            id: headOf(lease, step).id,
            afterMs: 0,
            countAttempt: false,
            reason: outcome.reason,
            attempt: attemptOf(step),
          };
          report(lease, step, 'hold', outcome.reason, null);
          break;
        case 'retry': {
          if (isFailure(outcome)) gate.failed(outcome.reason);
          const job = headOf(lease, step);
          // A person's right to be forgotten does not expire.
          if (lease.erasure === null && now() - job.receivedAtMs > options.retryMaxAgeMs) {
            settle(step, 'dead', 'expired');
            break;
          }
          void write({ done: [], record: step.record, shared: step.shared });
          const afterMs = retryDelayMs(job.attempt, Math.random(), outcome.afterMs);
          retry = { id: job.id, afterMs, countAttempt: true, reason: outcome.reason, attempt: attemptOf(step) };
          report(lease, step, 'retry', outcome.reason, afterMs);
          break;
        }
        default:
          outcome satisfies never;
      }
    }
    await writes;
    return retry;
  }

  /**
   * What Intercom has done must be written down, and what is known must be read, however long the store is away; a lease
   * that is void ends it.
   */
  async function store<T>(ask: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof QueueUnavailable)) throw error;
        await delay(storeAgainAfterMs);
        if (aborting.signal.aborted) return undefined; // what is not written down is sent again, and taken for a repeat
      }
    }
  }

  function report(lease: Lease, step: Step, outcome: string, reason: string | null, retryInMs: number | null): void {
    options.onAttempt({
      lease,
      step,
      outcome,
      reason,
      status: statusOf(step),
      attempt: headOf(lease, step).attempt,
      retryInMs,
    });
  }

  async function stop(graceMs: number): Promise<void> {
    stopping.abort();
    const timer = setTimeout(() => aborting.abort(), graceMs);
    if (active > 0 || leasing) {
      await new Promise<void>((resolve) => {
        idle = resolve;
      });
    }
    clearTimeout(timer);
  }

  return {
    start() {
      started = true;
      void pump();
    },
    wake: () => void pump(),
    stop,
    active: () => active,
  };
}

function doneJobs(step: Step, status: Done['status'], reason: string | null): Done[] {
  // The call of merged identifies is told with the last of them, whose values outweigh the others'.
  const last = step.jobs.length - 1;
  const silent: Attempt = { intercomStatus: statusOf(step), calls: 0, ms: 0, exchange: null };
  return step.jobs.map(({ id }, index) => ({ id, status, reason, attempt: index === last ? attemptOf(step) : silent }));
}

function stateOf({ id, status, reason, attempt }: Done): EventState {
  return { id, status, reason, intercomStatus: attempt.intercomStatus, calls: attempt.calls };
}

function attemptOf(step: Step): Attempt {
  return { intercomStatus: statusOf(step), calls: step.calls, ms: step.ms, exchange: JSON.stringify(step.exchange) };
}

function headOf(lease: Lease, step: Step): Job {
  const id = step.jobs[0]?.id;
  const job = lease.jobs.find((one) => one.id === id);
  if (!job) throw new Error(`the destination answered for a job that it was not given: ${id}`);
  return job;
}

/** What says of Intercom as a whole that it is not well; a refused rate or a lost race says it only of this call. */
function isFailure({ reason }: { reason: string }): boolean {
  return reason === 'server_error' || reason === 'edge_error' || reason === 'timeout' || reason === 'connection';
}

function statusOf({ outcome }: Step): number | null {
  return outcome.kind === 'filtered' ? null : outcome.status;
}

function mergedReason({ jobs, calls }: Step): string | null {
  if (jobs.length > 1) return 'merged';
  return calls === 0 ? 'unchanged' : null;
}
