import type { SignalEvent } from '../ingest/event.ts';
import { type Attributes, createAttributes } from './attributes.ts';
import { type IntercomClient, NotSent, type Patience } from './client.ts';
import { createCompanies } from './companies.ts';
import { forgetTargets, openRecord } from './contact-record.ts';
import { type Conversation, createConversation, type Exchange, type Person, sharedIn } from './conversation.ts';
import { erase, type Erasure } from './erasure.ts';
import { createEventNames } from './event-names.ts';
import { createIdentity } from './identity.ts';
import type { MappingOptions } from './mapping.ts';
import { judge, type Outcome } from './outcome.ts';
import { createDryClient, type Surprise } from './rehearsal.ts';
import { bug, erasureTask, planTasks, type Settled, type Task } from './tasks.ts';
import { createTimeline } from './timeline.ts';

/** Takes one person's jobs to Intercom, in their order; all that is Intercom's own stays behind this door. */
export type Destination = {
  /**
   * One step after the other, until the jobs are done or a step did not end them (`retry`, `hold`); nothing is sent
   * after such a step. Ends early, without a step, when told to stop.
   */
  deliver(work: Work, desk: Desk): AsyncGenerator<Step>;
  /** Reads what the workspace has beforehand, so that no event spends a call on it. */
  prepare(patience: Patience): Promise<void>;
  /**
   * One that says to nobody what this one would say to Intercom, and to which all goes well but for the one surprise.
   * `laterMs`: as if it were so much later.
   */
  rehearse(options: Rehearsal): Pick<Destination, 'deliver' | 'rehearse'>;
};

export type Rehearsal = Pick<Desk, 'shared'> & { surprise?: Surprise; laterMs?: number };

export type Work = {
  /** `user:…`, `email:…` or `erasure:…`. */
  person: string;
  record: string | null;
  joined: string[];
  jobs: WorkJob[];
  /** Set: the one job is to erase this person. */
  erasure?: Erasure | null;
};

export type WorkJob = {
  id: string;
  receivedAtMs: number;
  atMs: number;
  createdAtSeconds: number | null;
  /** Came from an anonymous visitor, who has become this person since. */
  wasHeld: boolean;
  payload: string;
};

/** What the destination needs of its caller while it works. */
export type Desk = {
  patience: Patience;
  /** Makes the contact record durable, and records that belong to no person. */
  save(record: string, shared: Step['shared']): Promise<void>;
  /** Makes the second that an event is about to be sent with durable, and the record with it. */
  choose(jobId: string, createdAtSeconds: number, record: string): Promise<void>;
  shared(key: string): Promise<string | null>;
  /** Runs `work` while nobody else, of any replica, does for the same key. */
  alone<T>(key: string, work: () => Promise<T>): Promise<T>;
  /** Asked right before each call: whether it may still be made for these jobs. Learns the newest consent on the way. */
  mayGoOn(): Promise<boolean>;
  /** Whether the person's newest consent that was learned allows this event. */
  mayStillSend(event: SignalEvent, job: WorkJob): boolean;
};

export type Step = {
  /** The jobs that share this outcome; several where identifies were merged into one call. */
  jobs: WorkJob[];
  type: string;
  outcome: Outcome;
  exchange: Exchange;
  calls: number;
  /** Unix ms. */
  startedAtMs: number;
  ms: number;
  record: string;
  shared: { key: string; record: string }[];
};

/** What a call was for has changed while it waited for its turn; nothing of it went out. */
class Withdrawn extends NotSent {}
class Interrupted extends NotSent {}

export type DestinationOptions = {
  client: IntercomClient;
  mapping: MappingOptions;
  /** Make attributes that the workspace lacks, instead of leaving their traits out. */
  createAttributes: boolean;
  now?: () => number;
};

type KnownAttributes = { contact: Attributes; company: Attributes };

export function createDestination(options: DestinationOptions): Destination {
  return openDestination(options, {
    contact: createAttributes('contact', options),
    company: createAttributes('company', options),
  });
}

function openDestination(options: DestinationOptions, attributes: KnownAttributes): Destination {
  const { client, mapping } = options;
  const now = options.now ?? Date.now;
  const eventNames = createEventNames();
  const identity = createIdentity({ attributes: attributes.contact, now });
  const companies = createCompanies({ identity, attributes: attributes.company });
  const timeline = createTimeline({ identity, eventNames });

  async function prepare(patience: Patience): Promise<void> {
    for (const list of [attributes.contact, attributes.company]) {
      await list.read(async (request) => judge(await client.call({ ...request, patience, urgent: true })));
    }
  }

  async function* deliver(work: Work, desk: Desk): AsyncGenerator<Step> {
    let current: Task | undefined;
    const conversation = createConversation({
      person: readPerson(work.person),
      record: openRecord(work.record, work.joined, now()),
      client,
      patience: desk.patience,
      async mayGo() {
        if (!(await desk.mayGoOn())) throw new Interrupted('the installation is held, or the lease is void');
        if (current && !isAllowed(current, desk)) throw new Withdrawn('consent was taken back');
      },
      save: (record, shared) => desk.save(JSON.stringify(record), shared),
      shared: desk.shared,
      alone: desk.alone,
    });
    let left = work.jobs;
    // Planned anew when consent has changed on the way.
    while (left.length > 0) {
      const planned = left;
      const tasks = work.erasure ? [erasureTask(planned, work.erasure)] : planTasks(planned, mapping, desk);
      for (const task of tasks) {
        if (desk.patience.stop.aborted) return;
        const startedAt = performance.now();
        conversation.isInDoubt = left.some(({ createdAtSeconds }) => createdAtSeconds !== null);
        current = 'outcome' in task ? undefined : task;
        let settled: Settled;
        try {
          settled = 'outcome' in task ? task : { ...task, outcome: await send(conversation, task, desk) };
        } catch (error) {
          if (error instanceof Withdrawn) break;
          if (error instanceof Interrupted || desk.patience.stop.aborted || desk.patience.abort.aborted) {
            await conversation.save(); // what the step has learned so far: a lead's id, say
            return;
          }
          settled = bug(task, error);
        }
        const { outcome, jobs, type, error } = settled;
        const isOpen = outcome.kind === 'retry' || outcome.kind === 'hold';
        if (!isOpen) {
          left = left.filter((job) => !jobs.includes(job));
          conversation.record = forgetTargets(
            conversation.record,
            jobs.map(({ id }) => id),
          );
        }
        const turn = conversation.turn();
        const { exchange } = turn;
        if (error !== undefined) exchange.warnings.push({ code: 'bug', message: error });
        exchange.warnings.push(...('outcome' in task ? (task.warnings ?? []) : task.mapped.warnings));
        yield {
          jobs,
          type,
          outcome,
          exchange,
          calls: exchange.calls.length,
          startedAtMs: conversation.unixMs(startedAt),
          ms: performance.now() - startedAt,
          record: JSON.stringify(conversation.record),
          shared: sharedIn(turn),
        };
        if (isOpen) return;
      }
    }
  }

  function send(c: Conversation, task: Task, desk: Desk): Promise<Outcome> {
    const { mapped } = task;
    switch (mapped.kind) {
      case 'contact':
        return identity.upsert(c, { fields: mapped.contact, attributes: mapped.customAttributes });
      case 'event':
        return timeline.deliver(c, mapped, task.events[0]!, task.jobs[0]!, desk);
      case 'company':
        return companies.deliver(c, mapped);
      case 'erasure':
        return erase(c, mapped.erasure, now);
      case 'dropped':
        return Promise.resolve({ kind: 'filtered', reason: 'mapping_dropped' });
      default:
        return mapped satisfies never;
    }
  }

  function rehearse({ shared, surprise, laterMs = 0 }: Rehearsal): Destination {
    const known = { contact: attributes.contact.copy(), company: attributes.company.copy() };
    const dry = createDryClient({ attributes: (model) => known[model].names(), shared, surprise });
    return openDestination({ ...options, client: dry, now: () => now() + laterMs }, known);
  }

  return { deliver, prepare, rehearse };
}

function isAllowed({ jobs, events }: Task, desk: Desk): boolean {
  return events.every((event, index) => desk.mayStillSend(event, jobs[index]!));
}

function readPerson(person: string): Person {
  const colon = person.indexOf(':');
  const kind = person.slice(0, colon);
  if (kind !== 'user' && kind !== 'email' && kind !== 'erasure')
    throw new Error(`nobody in Intercom answers to a person of the kind ${kind}`);
  return { kind, value: person.slice(colon + 1) };
}
