import { z } from 'zod';

/**
 * What this service knows of one person in Intercom: kept beside the queue, so that nothing is searched for or sent
 * again that Intercom has acknowledged.
 */
export type ContactRecord = z.infer<typeof ContactRecord>;

const LeadIntent = z.object({ email: z.string(), atMs: z.number() });
type LeadIntent = z.infer<typeof LeadIntent>;

const ContactRecord = z.object({
  /** Intercom's id, once any answer told it. */
  contactId: z.string().optional(),
  role: z.enum(['user', 'lead']).optional(),
  /** The user answers to its external_id; the contactId may still be unknown. */
  exists: z.boolean().optional(),
  /** Leads that were joined to this user, and are not yet one with it in Intercom. */
  leadIds: z.array(z.string()).default([]),
  /** The creation of a lead that was begun, Unix ms; gone once its end is known. */
  leadIntent: LeadIntent.optional(),
  /** Creations of leads that were joined to this user before their end was known. */
  doubtfulLeads: z.array(LeadIntent).default([]),
  /**
   * By job, the contact that its event went to by Intercom's id: where the end of a send is unknown, it is sent there
   * again, whoever the contact has become one with since.
   */
  sentTo: z.record(z.string(), z.string()).default({}),
  /** The last acknowledged value of every field and custom attribute; none while a call to change it has no known end. */
  fields: z.record(z.string(), z.unknown()).default({}),
  attributes: z.record(z.string(), z.unknown()).default({}),
  /** Per event name, the seconds taken: runs of [first, last]. */
  seconds: z.record(z.string(), z.array(z.tuple([z.number(), z.number()]))).default({}),
  /** Companies this contact is attached to: the id as Signal sent it → Intercom's. */
  companies: z.record(z.string(), z.string()).default({}),
  /** How far the erasure of this person has come. */
  erasure: z
    .object({
      /** Contacts that are there no more. */
      gone: z.array(z.string()),
      /** Emails by which leads were searched. */
      searched: z.array(z.string()),
      /** The contact that Intercom named for the external_id. */
      named: z.string().optional(),
      isUserGone: z.boolean(),
    })
    .optional(),
});

/** The record of a lease; those of people joined since are folded into it. */
export function openRecord(own: string | null, joined: string[], nowMs = Infinity): ContactRecord {
  const record = joined.map(read).reduce(fold, own === null ? empty() : read(own));
  // What was begun in the future was begun before the clock was set back, and is not waited for so long.
  const begunBy = (intent: LeadIntent): LeadIntent => ({ ...intent, atMs: Math.min(intent.atMs, nowMs) });
  return {
    ...record,
    ...(record.leadIntent && { leadIntent: begunBy(record.leadIntent) }),
    doubtfulLeads: record.doubtfulLeads.map(begunBy),
  };
}

function empty(): ContactRecord {
  return { leadIds: [], doubtfulLeads: [], sentTo: {}, fields: {}, attributes: {}, seconds: {}, companies: {} };
}

function read(text: string): ContactRecord {
  return ContactRecord.parse(JSON.parse(text));
}

/** What is known of a lead is not what is known of the user: only its id, and what was sent to its timeline. */
function fold(record: ContactRecord, other: ContactRecord): ContactRecord {
  const seconds = { ...record.seconds };
  for (const [name, runs] of Object.entries(other.seconds)) {
    seconds[name] = runs.reduce((sum, [from, to]) => addRun(sum, from, to), runsOf(record, name));
  }
  const leads = [
    ...record.leadIds,
    ...other.leadIds,
    ...(other.role === 'lead' && other.contactId ? [other.contactId] : []),
  ];
  return {
    ...record,
    seconds,
    leadIds: [...new Set(leads)],
    doubtfulLeads: [
      ...record.doubtfulLeads,
      ...other.doubtfulLeads,
      ...(other.leadIntent === undefined ? [] : [other.leadIntent]),
    ],
    sentTo: { ...record.sentTo, ...other.sentTo },
  };
}

/** The record without the values of these; the same one where it has none of them. */
export function forgetValues(record: ContactRecord, names: { fields: string[]; attributes: string[] }): ContactRecord {
  const fields = omit(record.fields, names.fields);
  const attributes = omit(record.attributes, names.attributes);
  return fields === record.fields && attributes === record.attributes ? record : { ...record, fields, attributes };
}

function omit<V>(values: Record<string, V>, names: string[]): Record<string, V> {
  if (!names.some((name) => name in values)) return values;
  return Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
}

/** Whether contacts wait to become one with this user. */
export function hasLeads(record: ContactRecord): boolean {
  return record.leadIds.length > 0 || record.doubtfulLeads.length > 0;
}

export function rememberTarget(record: ContactRecord, jobId: string, contactId: string): ContactRecord {
  // A person has one event under way; of jobs that ended elsewhere, an entry may be left over.
  const kept = Object.entries(record.sentTo).slice(-targets + 1);
  return { ...record, sentTo: { ...Object.fromEntries(kept), [jobId]: contactId } };
}

export function forgetTargets(record: ContactRecord, jobIds: string[]): ContactRecord {
  const sentTo = omit(record.sentTo, jobIds);
  return sentTo === record.sentTo ? record : { ...record, sentTo };
}

const targets = 16;

type Run = [from: number, to: number];

/**
 * The second to send an event with: its own, or the next one that no event of that name has.
 *
 * Intercom keeps one event per contact, name and second, and drops every further one with a 202.
 */
export function freeSecond(record: ContactRecord, eventKey: string, wanted: number): number {
  const run = runsOf(record, eventKey).find(([from, to]) => from <= wanted && wanted <= to);
  return run ? run[1] + 1 : wanted;
}

/** Remembers a second as taken; the oldest runs of a person with very many are let go. */
export function takeSecond(record: ContactRecord, eventKey: string, second: number): ContactRecord {
  const runs = addRun(runsOf(record, eventKey), second, second);
  const seconds = { ...record.seconds, [eventKey]: runs.slice(-runsPerName) };
  const names = Object.keys(seconds);
  if (names.length > eventNames) {
    const oldest = names.reduce((a, b) => (lastOf(seconds[a]) <= lastOf(seconds[b]) ? a : b));
    delete seconds[oldest];
  }
  return { ...record, seconds };
}

/** An event may be called `constructor`, which every object has something under. */
function runsOf({ seconds }: ContactRecord, eventKey: string): Run[] {
  return (Object.hasOwn(seconds, eventKey) ? seconds[eventKey] : undefined) ?? [];
}

const runsPerName = 32;
/** Intercom allows 120 active event names in a workspace. */
const eventNames = 120;

const lastOf = (runs: Run[] | undefined): number => runs?.at(-1)?.[1] ?? 0;

/** Adds a run to sorted ones, and makes one of those that touch. */
function addRun(runs: Run[], from: number, to: number): Run[] {
  const merged: Run[] = [];
  let added: Run = [from, to];
  for (const run of runs) {
    if (run[1] + 1 < added[0]) merged.push(run);
    else if (added[1] + 1 < run[0]) {
      merged.push(added);
      added = run;
    } else added = [Math.min(run[0], added[0]), Math.max(run[1], added[1])];
  }
  merged.push(added);
  return merged;
}
