import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type EventFilter, type Queue, QueueUnavailable } from '../queue/queue.ts';
import type { Live } from './live.ts';

/**
 * Dead letters back to the queue, by filter: few at once, many as a job that goes in steps.
 *
 * Oldest first, so that a person's later event is not sent before an earlier one is back in line. What dies after the
 * start is left alone, and what dies again keeps its place, behind the walk. Where jobs live in memory, a restart ends
 * them half-way, and asking again takes up the rest, since only what is dead is moved.
 */
export type Redrives = {
  count(filter: EventFilter): Promise<number>;
  start(filter: EventFilter): Promise<{ kind: 'done'; redriven: number } | { kind: 'job'; job: RedriveJob }>;
  redrive(ids: string[]): Promise<number>;
  find(id: string): Promise<RedriveJob | undefined>;
  /** After the running step; what is redriven stays redriven. */
  cancel(id: string): Promise<RedriveJob | undefined>;
  /** Ends after the running step. */
  stop(): Promise<void>;
};

export type RedriveJob = { id: string; total: number; done: number; status: 'running' | 'done' | 'cancelled' };

/** Where the jobs are known: in this process, or to all replicas. */
export type RedriveJobs = {
  add(job: { id: string; total: number; filter: EventFilter; upTo: string }): Promise<void>;
  find(id: string): Promise<RedriveJob | undefined>;
  cancel(id: string): Promise<RedriveJob | undefined>;
  /** The oldest job that runs and that nobody else goes on with; it is ours until it ends, or we are gone. */
  take(): Promise<RedriveWalk | null>;
  /** A step is made, the last one where `next` is null; whether the job goes on, and with us. */
  note(id: string, step: Step): Promise<boolean>;
  /** Leaves to others what is ours. */
  release(): Promise<void>;
  /** Calls `listen` when a job may wait for somebody to go on with it. */
  onWaiting(listen: () => void): void;
};

/** What a job is to walk, after what it has walked. */
export type RedriveWalk = { id: string; filter: EventFilter; upTo: string; after: string | null };
type Step = { redriven: number; next: string | null };

const atOnce = 1000;
const idsAStep = 500;
/** Between two steps the writer does nothing but its other work. */
const pauseMs = 20;
const againAfterMs = 1000;
const jobsKept = 100;

export function createRedrives({ queue, live, jobs = jobsInMemory() }: RedrivesOptions): Redrives {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let isAskedAgain = false;

  async function redrive(ids: string[]): Promise<number> {
    const redriven = await queue.redrive(ids);
    live.changed(ids.map((id) => ({ id, status: 'queued', reason: null })));
    return redriven;
  }

  async function step({ filter, upTo, after }: Omit<RedriveWalk, 'id'>): Promise<Step> {
    const { ids, next } = await queue.walkDead(filter, { limit: idsAStep, after, upTo });
    return { redriven: await redrive(ids), next };
  }

  async function start(filter: EventFilter): ReturnType<Redrives['start']> {
    const newest = (await queue.find({}, { limit: 1, before: null })).events[0];
    if (!newest) return { kind: 'done', redriven: 0 };
    const total = await queue.countDead(filter);
    if (total > atOnce) return { kind: 'job', job: await enlist(filter, newest.id, total) };
    let redriven = 0;
    for (let after: string | null | undefined; after !== null;) {
      const made: Step = await step({ filter, upTo: newest.id, after: after ?? null });
      redriven += made.redriven;
      after = made.next;
    }
    return { kind: 'done', redriven };
  }

  async function enlist(filter: EventFilter, upTo: string, total: number): Promise<RedriveJob> {
    const id = `redrive_${randomBytes(9).toString('base64url')}`;
    await jobs.add({ id, total, filter, upTo });
    work();
    return { id, total, done: 0, status: 'running' };
  }

  /** One job after the other: two that meet would only share the pace. */
  function work(): void {
    isAskedAgain = true;
    if (!stopping.signal.aborted) running ??= workOff();
  }

  async function workOff(): Promise<void> {
    try {
      while (isAskedAgain && !stopping.signal.aborted) {
        isAskedAgain = false;
        for (let job = await retried(jobs.take); job; job = await retried(jobs.take)) await walk(job);
      }
    } finally {
      running = undefined;
    }
  }

  async function walk({ id, ...rest }: RedriveWalk): Promise<void> {
    let at = rest;
    for (let goesOn = true; goesOn && !stopping.signal.aborted;) {
      const made = await retried(() => step(at));
      if (!made) return;
      goesOn = (await retried(() => jobs.note(id, made))) === true && made.next !== null;
      at = { ...at, after: made.next };
      if (goesOn) await pause(pauseMs);
    }
  }

  /** Undefined at the end of the service. */
  async function retried<T>(what: () => Promise<T>): Promise<T | undefined> {
    while (!stopping.signal.aborted) {
      try {
        return await what();
      } catch (error) {
        if (!(error instanceof QueueUnavailable)) throw error;
        await pause(againAfterMs);
      }
    }
    return undefined;
  }

  function pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  }

  jobs.onWaiting(work);
  return {
    count: (filter) => queue.countDead(filter),
    start,
    redrive,
    find: (id) => jobs.find(id),
    cancel: (id) => jobs.cancel(id),
    async stop() {
      stopping.abort();
      await running;
      await jobs.release().catch(() => undefined); // then they wait until the lease is over
    },
  };
}

export type RedrivesOptions = { queue: Queue; live: Pick<Live, 'changed'>; jobs?: RedriveJobs | undefined };

function jobsInMemory(): RedriveJobs {
  const jobs = new Map<string, { job: RedriveJob; walk: RedriveWalk }>();
  return {
    async add({ id, total, filter, upTo }) {
      jobs.set(id, { job: { id, total, done: 0, status: 'running' }, walk: { id, filter, upTo, after: null } });
      const [oldest] = jobs.keys();
      if (jobs.size > jobsKept && oldest !== undefined) jobs.delete(oldest);
    },
    find: async (id) => jobs.get(id)?.job,
    async cancel(id) {
      const job = jobs.get(id)?.job;
      if (job?.status === 'running') job.status = 'cancelled';
      return job;
    },
    take: async () => [...jobs.values()].find(({ job }) => job.status === 'running')?.walk ?? null,
    async note(id, { redriven, next }) {
      const job = jobs.get(id)?.job;
      if (!job) return true;
      job.done += redriven;
      job.total = Math.max(job.total, job.done); // some may have died since they were counted
      if (job.status === 'running' && next === null) job.status = 'done';
      return job.status === 'running';
    },
    release: async () => {},
    onWaiting: () => {},
  };
}
