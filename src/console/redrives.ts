import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type EventFilter, type Queue, QueueUnavailable } from '../queue/queue.ts';
import type { Live } from './live.ts';

/**
 * Dead letters back to the queue, by filter: few at once, many as a job that goes in steps.
 *
 * Oldest first, so that a person's later event is not sent before an earlier one is back in line. What dies after the
 * start is left alone, and what dies again keeps its place, behind the walk. A job lives in memory: a restart ends it
 * half-way, and asking again takes up the rest, since only what is dead is moved.
 */
export type Redrives = {
  count(filter: EventFilter): Promise<number>;
  start(filter: EventFilter): Promise<{ kind: 'done'; redriven: number } | { kind: 'job'; job: RedriveJob }>;
  redrive(ids: string[]): Promise<number>;
  find(id: string): RedriveJob | undefined;
  /** After the running step; what is redriven stays redriven. */
  cancel(id: string): RedriveJob | undefined;
  /** Ends after the running step. */
  stop(): Promise<void>;
};

export type RedriveJob = { id: string; total: number; done: number; status: 'running' | 'done' | 'cancelled' };

type Stepped = { redriven: number; next: string | null };

const atOnce = 1000;
const idsAStep = 500;
/** Between two steps the writer does nothing but its other work. */
const pauseMs = 20;
const againAfterMs = 1000;
const jobsKept = 100;

export function createRedrives({ queue, live }: { queue: Queue; live: Pick<Live, 'changed'> }): Redrives {
  const jobs = new Map<string, RedriveJob>();
  const stopping = new AbortController();
  /** One job after the other: two that meet would only share the pace. */
  let last = Promise.resolve();

  async function redrive(ids: string[]): Promise<number> {
    const redriven = await queue.redrive(ids);
    live.changed(ids.map((id) => ({ id, status: 'queued', reason: null })));
    return redriven;
  }

  async function step(filter: EventFilter, upTo: string, after: string | null): Promise<Stepped> {
    const { ids, next } = await queue.walkDead(filter, { limit: idsAStep, after, upTo });
    return { redriven: await redrive(ids), next };
  }

  async function start(filter: EventFilter): ReturnType<Redrives['start']> {
    const newest = (await queue.find({}, { limit: 1, before: null })).events[0];
    if (!newest) return { kind: 'done', redriven: 0 };
    const total = await queue.countDead(filter);
    if (total > atOnce) return { kind: 'job', job: enlist(filter, newest.id, total) };
    let redriven = 0;
    for (let after: string | null | undefined; after !== null;) {
      const made: Stepped = await step(filter, newest.id, after ?? null);
      redriven += made.redriven;
      after = made.next;
    }
    return { kind: 'done', redriven };
  }

  function enlist(filter: EventFilter, upTo: string, total: number): RedriveJob {
    const job: RedriveJob = {
      id: `redrive_${randomBytes(9).toString('base64url')}`,
      total,
      done: 0,
      status: 'running',
    };
    jobs.set(job.id, job);
    const [oldest] = jobs.keys();
    if (jobs.size > jobsKept && oldest !== undefined) jobs.delete(oldest);
    last = last.then(() => run(job, filter, upTo));
    return job;
  }

  async function run(job: RedriveJob, filter: EventFilter, upTo: string): Promise<void> {
    const mayGoOn = (): boolean => job.status === 'running' && !stopping.signal.aborted;
    let after: string | null = null;
    while (mayGoOn()) {
      try {
        const made: Stepped = await step(filter, upTo, after);
        job.done += made.redriven;
        job.total = Math.max(job.total, job.done); // some may have died since they were counted
        after = made.next;
        if (after === null) {
          job.status = 'done';
          return;
        }
        await pause(pauseMs);
      } catch (error) {
        if (!(error instanceof QueueUnavailable)) throw error;
        await pause(againAfterMs);
      }
    }
  }

  function pause(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
  }

  return {
    count: (filter) => queue.countDead(filter),
    start,
    redrive,
    find: (id) => jobs.get(id),
    cancel(id) {
      const job = jobs.get(id);
      if (job?.status === 'running') job.status = 'cancelled';
      return job;
    },
    async stop() {
      stopping.abort();
      await last;
    },
  };
}
