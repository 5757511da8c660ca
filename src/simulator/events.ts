import type { ContactRecord, ContactStore } from './contact-store.ts';
import { checkMetadata } from './event-metadata.ts';
import { badParameter, isRefusal, refuse, userNotFound, type Refusal, type Reply } from './replies.ts';
import type { Workspace } from './workspace.ts';

export type StoredEvent = {
  /** 1, 2, 3, … over the whole workspace, in order of arrival. */
  sequence: number;
  eventName: string;
  createdAt: number;
  metadata: Record<string, unknown>;
  receivedAt: number;
  /** What Intercom would not say: dropped keys, values that it cannot use. */
  flags?: string[];
};
export type Events = ReturnType<typeof createEvents>;
type Timeline = { events: StoredEvent[]; seen: Set<string> };

/** Documented: of the whole workspace. */
const MAX_NAMES = 120;
// Unix seconds reach this in the year 5138; what is larger are milliseconds.
const SECONDS_END = 1e11;

/** `POST /events`: who it belongs to, whether it is a repeat, and what of it is kept. */
export function createEvents({ workspace, store }: { workspace: Workspace; store: ContactStore }) {
  const timelines = new Map<string, Timeline>();
  const names = new Set<string>();
  const totals = { stored: 0, duplicates: 0 };

  function submit(body: Record<string, unknown>): Reply {
    const { event_name: name, created_at: createdAt } = body;
    if (name === undefined || name === null || name === '') return missing('event_name');
    if (typeof name !== 'string') return badParameter('event_name');
    if (createdAt === undefined || createdAt === null) return missing('created_at');
    if (typeof createdAt !== 'number' || !Number.isInteger(createdAt) || createdAt < 0)
      return badParameter('created_at');
    const checked = checkMetadata(body['metadata']);
    if (isRefusal(checked)) return checked;
    const contact = resolve({ id: body['id'], userId: body['user_id'], email: body['email'] });
    if (isRefusal(contact)) return contact;

    // Documented: `.` and `$` are replaced, and case does not matter.
    const eventName = name.replace(/[.$]/g, '-');
    const key = eventName.toLowerCase();
    if (!names.has(key)) {
      // Documented text; the status is that of the Messenger's endpoint.
      if (names.size >= MAX_NAMES) {
        return refuse(422, '422', `Cannot have more than ${MAX_NAMES} active event names`);
      }
      names.add(key);
    }
    const flags = [...checked.flags, ...(createdAt >= SECONDS_END ? ['created_at is in milliseconds'] : [])];
    keep(contact.id, `${createdAt} ${key}`, eventName, createdAt, checked.metadata, flags);
    return { status: 202, body: undefined };
  }

  /** Documented: contact, name and second are the identity of an event; the first one wins, silently. */
  function keep(
    contactId: string,
    identity: string,
    eventName: string,
    createdAt: number,
    metadata: Record<string, unknown>,
    flags: string[],
  ): void {
    const timeline = timelineOf(contactId);
    if (timeline.seen.has(identity)) {
      totals.duplicates += 1;
      return;
    }
    totals.stored += 1;
    timeline.seen.add(identity);
    const event = { sequence: totals.stored, eventName, createdAt, metadata, receivedAt: workspace.now() };
    timeline.events.push(flags.length === 0 ? event : { ...event, flags });
  }

  /** Precedence: Intercom id, then user_id, then email; the first one that is there decides alone. */
  function resolve({
    id,
    userId,
    email,
  }: {
    id?: unknown;
    userId?: unknown;
    email?: unknown;
  }): ContactRecord | Refusal {
    if (isPresent(id)) return store.live(String(id)) ?? userNotFound();
    // That a lead's assigned external id finds it is inferred.
    if (isPresent(userId)) return store.withExternalId(String(userId), ['live'])[0] ?? userNotFound();
    if (!isPresent(email)) return missing('id, user_id or email');
    const users = store.liveUsersByEmail(String(email));
    if (users.length > 1) {
      const message = `Multiple existing users match this email address ${email} - must be more specific using user_id`;
      return refuse(409, 'conflict', message);
    }
    return users[0] ?? userNotFound();
  }

  function timelineOf(contactId: string): Timeline {
    let timeline = timelines.get(contactId);
    if (timeline === undefined) {
      timeline = { events: [], seen: new Set() };
      timelines.set(contactId, timeline);
    }
    return timeline;
  }

  return {
    submit,
    resolve,
    of: (contactId: string): StoredEvent[] => timelines.get(contactId)?.events ?? [],
    /** Inferred: on a merge, the lead's events join the user's. */
    move(from: string, into: string): void {
      const moved = timelines.get(from);
      if (!moved) return;
      const target = timelineOf(into);
      for (const identity of moved.seen) target.seen.add(identity);
      target.events = [...target.events, ...moved.events].sort((a, b) => a.sequence - b.sequence);
      timelines.delete(from);
    },
    totals: () => ({ ...totals, names: names.size }),
  };
}

function isPresent(value: unknown): value is string | number {
  return typeof value === 'number' || (typeof value === 'string' && value !== '');
}

function missing(name: string): Refusal {
  return refuse(400, 'parameter_not_found', `${name} not specified`);
}
