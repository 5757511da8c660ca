import { parseEvent, type SignalEvent } from '../ingest/event.ts';
import { createAttributes } from './attributes.ts';
import type { IntercomClient, Patience } from './client.ts';
import { createCompanies } from './companies.ts';
import { freeSecond, openRecord, takeSecond } from './contact-record.ts';
import {
  type Conversation,
  createConversation,
  delivered,
  type Exchange,
  outcomeOf,
  type Person,
} from './conversation.ts';
import { createEventNames } from './event-names.ts';
import { createIdentity, forgetContact, nothing, type Wanted } from './identity.ts';
import { eventKey, type Mapped, mapEvent, type MappingOptions } from './mapping.ts';
import { judge, type Outcome } from './outcome.ts';

/** Takes one person's jobs to Intercom, in their order; all that is Intercom's own stays behind this door. */
export type Destination = {
  /**
   * One step after the other, until the jobs are done or a step did not end them (`retry`, `hold`); nothing is sent
   * after such a step. Ends early, without a step, when told to stop.
   */
  deliver(work: Work, desk: Desk): AsyncGenerator<Step>;
  /** Reads what the workspace has beforehand, so that no event spends a call on it. */
  prepare(patience: Patience): Promise<void>;
};

export type Work = {
  /** `user:…` or `email:…`. */
  person: string;
  record: string | null;
  joined: string[];
  jobs: WorkJob[];
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
  /** Makes the contact record durable. */
  save(record: string): Promise<void>;
  /** Makes the second that an event is about to be sent with durable. */
  choose(jobId: string, createdAtSeconds: number): Promise<void>;
  shared(key: string): Promise<string | null>;
  /** Whether the person's newest consent still allows this event. */
  mayStillSend(event: SignalEvent, job: WorkJob): boolean;
};

export type Step = {
  /** The jobs that share this outcome; several where identifies were merged into one call. */
  jobs: WorkJob[];
  type: string;
  outcome: Outcome;
  exchange: Exchange;
  calls: number;
  ms: number;
  record: string;
  shared: { key: string; record: string }[];
};

type Task = { jobs: WorkJob[]; event: SignalEvent; mapped: Mapped };
/** A job that ends before anything is sent. */
type Settled = { jobs: WorkJob[]; type: string; outcome: Outcome; error?: string };

export function createDestination(options: {
  client: IntercomClient;
  mapping: MappingOptions;
  /** Make attributes that the workspace lacks, instead of leaving their traits out. */
  createAttributes: boolean;
}): Destination {
  const { client, mapping } = options;
  const attributes = {
    contact: createAttributes('contact', options),
    company: createAttributes('company', options),
  };
  const eventNames = createEventNames();
  const identity = createIdentity({ attributes: attributes.contact });
  const companies = createCompanies({ identity, attributes: attributes.company });

  async function prepare(patience: Patience): Promise<void> {
    for (const list of [attributes.contact, attributes.company]) {
      await list.read(async (request) => judge(await client.call({ ...request, patience, urgent: true })));
    }
  }

  async function* deliver(work: Work, desk: Desk): AsyncGenerator<Step> {
    const conversation = createConversation({
      person: readPerson(work.person),
      record: openRecord(work.record, work.joined),
      client,
      patience: desk.patience,
      save: (record) => desk.save(JSON.stringify(record)),
      shared: desk.shared,
    });
    for (const task of tasks(work.jobs, mapping, desk)) {
      if (desk.patience.stop.aborted) return;
      const startedAt = performance.now();
      let settled: Settled;
      try {
        settled =
          'outcome' in task
            ? task
            : { jobs: task.jobs, type: task.event.type, outcome: await send(conversation, task, desk) };
      } catch (error) {
        if (desk.patience.stop.aborted || desk.patience.abort.aborted) {
          await desk.save(JSON.stringify(conversation.record)); // what the step has learned so far: a lead's id, say
          return;
        }
        settled = bug(task, error);
      }
      const { exchange, shared } = conversation.turn();
      if (settled.error !== undefined) exchange.warnings.push({ code: 'bug', message: settled.error });
      if (!('outcome' in task)) exchange.warnings.push(...task.mapped.warnings);
      yield {
        jobs: settled.jobs,
        type: settled.type,
        outcome: settled.outcome,
        exchange,
        calls: exchange.calls.length,
        ms: performance.now() - startedAt,
        record: JSON.stringify(conversation.record),
        shared: [...shared].map(([key, record]) => ({ key, record })),
      };
      if (settled.outcome.kind === 'retry' || settled.outcome.kind === 'hold') return;
    }
  }

  function send(c: Conversation, task: Task, desk: Desk): Promise<Outcome> {
    const { mapped, event } = task;
    switch (mapped.kind) {
      case 'contact':
        return identity.upsert(c, wantedOf(mapped));
      case 'event':
        return sendEvent(c, mapped, event, task.jobs[0]!, desk);
      case 'company':
        return companies.deliver(c, mapped);
      case 'dropped':
        return Promise.resolve({ kind: 'filtered', reason: 'mapping_dropped' });
      default:
        return mapped satisfies never;
    }
  }

  async function sendEvent(
    c: Conversation,
    mapped: Mapped & { kind: 'event' },
    event: SignalEvent,
    job: WorkJob,
    desk: Desk,
  ): Promise<Outcome> {
    const key = eventKey(mapped.eventName);
    const own = Math.floor(job.atMs / 1000);
    const createdAt = job.createdAtSeconds ?? freeSecond(c.record, key, own);
    if (createdAt !== own && job.createdAtSeconds === null) await desk.choose(job.id, createdAt);
    const body = {
      event_name: mapped.eventName,
      created_at: createdAt,
      ...(Object.keys(mapped.metadata).length > 0 && { metadata: mapped.metadata }),
    };
    if (c.record.leadIds.length > 0) {
      const adopted = await identity.upsert(c, nothing);
      if (adopted.kind !== 'delivered') return adopted;
    }
    const email = event.email === undefined ? nothing : { fields: { email: event.email }, attributes: {} };
    for (const last of [false, true]) {
      if (c.person.kind === 'email' && c.record.contactId === undefined) {
        const found = await identity.upsert(c, nothing);
        if (found.kind !== 'delivered') return found;
      }
      const who = c.person.kind === 'user' ? { user_id: c.person.value } : { id: c.record.contactId };
      const verdict = await c.call({ method: 'POST', path: '/events', body: { ...who, ...body } });
      if (verdict.kind === 'done') {
        await eventNames.used(c, key);
        c.record = { ...takeSecond(c.record, key, createdAt), ...(c.person.kind === 'user' && { exists: true }) };
        return delivered(verdict.status);
      }
      // Intercom may have it: whatever joins this person meanwhile, it is sent again with the same second.
      if (verdict.kind === 'retry' && verdict.maybeDone && job.createdAtSeconds === null)
        await desk.choose(job.id, createdAt);
      if (verdict.kind !== 'missing' || last) return outcomeOf(verdict);
      // Nobody of that id: the contact is made, or brought back, and the same event sent again.
      forgetContact(c);
      const made = await identity.upsert(c, c.person.kind === 'user' ? email : nothing);
      if (made.kind !== 'delivered') return made;
    }
    return { kind: 'retry', reason: 'not_found', status: 404 };
  }

  return { deliver, prepare };
}

/** The jobs as steps: identifies in a row become one, of which the later value wins. */
function* tasks(jobs: WorkJob[], mapping: MappingOptions, desk: Desk): Generator<Task | Settled> {
  let identifies: Task | undefined;
  for (const next of identifyFirst(jobs.map((job) => taskOf(job, mapping, desk)))) {
    if (isIdentify(next)) {
      identifies = identifies ? merge(identifies, next) : next;
      continue;
    }
    if (identifies) yield identifies;
    identifies = undefined;
    yield next;
  }
  if (identifies) yield identifies;
}

/**
 * What a visitor did before the login comes to the timeline after it: the identify that follows the held events makes
 * the contact that they need.
 */
function identifyFirst(list: (Task | Settled)[]): (Task | Settled)[] {
  const firstOwn = list.findIndex((task) => !task.jobs.every(({ wasHeld }) => wasHeld));
  const login = list[firstOwn];
  if (firstOwn <= 0 || !login || !isIdentify(login)) return list;
  return [login, ...list.slice(0, firstOwn), ...list.slice(firstOwn + 1)];
}

function isIdentify(task: Task | Settled): task is Task {
  return !('outcome' in task) && task.mapped.kind === 'contact';
}

function taskOf(job: WorkJob, mapping: MappingOptions, desk: Desk): Task | Settled {
  try {
    const parsed = parseEvent(JSON.parse(job.payload));
    if (!parsed.ok)
      return { jobs: [job], type: 'unknown', outcome: { kind: 'rejected', reason: 'invalid_request', status: null } };
    const { event } = parsed;
    if (!desk.mayStillSend(event, job))
      return { jobs: [job], type: event.type, outcome: { kind: 'filtered', reason: 'consent_revoked' } };
    const mapped = mapEvent(event, mapping);
    if (mapped.kind === 'dropped')
      return { jobs: [job], type: event.type, outcome: { kind: 'filtered', reason: 'mapping_dropped' } };
    return { jobs: [job], event, mapped };
  } catch (error) {
    return bug({ jobs: [job] }, error);
  }
}

function merge(a: Task, b: Task): Task {
  if (a.mapped.kind !== 'contact' || b.mapped.kind !== 'contact') throw new Error('only identifies are merged');
  return {
    jobs: [...a.jobs, ...b.jobs],
    event: b.event,
    mapped: {
      kind: 'contact',
      contact: { ...a.mapped.contact, ...b.mapped.contact },
      customAttributes: { ...a.mapped.customAttributes, ...b.mapped.customAttributes },
      warnings: [...a.mapped.warnings, ...b.mapped.warnings],
    },
  };
}

function wantedOf(mapped: Mapped & { kind: 'contact' }): Wanted {
  return { fields: mapped.contact, attributes: mapped.customAttributes };
}

/** An unknown exception is a bug of ours: dead at once and explained, never tried again blindly. */
function bug(task: { jobs: WorkJob[] } & ({ event?: SignalEvent } | { type: string }), error: unknown): Settled {
  const type = 'type' in task ? task.type : (task.event?.type ?? 'unknown');
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { jobs: task.jobs, type, outcome: { kind: 'rejected', reason: 'bug', status: null }, error: text };
}

function readPerson(person: string): Person {
  const colon = person.indexOf(':');
  const kind = person.slice(0, colon);
  if (kind !== 'user' && kind !== 'email')
    throw new Error(`nobody in Intercom answers to a person of the kind ${kind}`);
  return { kind, value: person.slice(colon + 1) };
}
