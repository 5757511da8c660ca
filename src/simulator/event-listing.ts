import type { ContactRecord } from './contact-store.ts';
import type { Events, StoredEvent } from './events.ts';
import { badParameter, isRefusal, ok, type Reply } from './replies.ts';
import type { Workspace } from './workspace.ts';

/** Documented: older events cannot be listed one by one, but stay in the counts. */
const LISTABLE_SECONDS = 90 * 24 * 3600;

/** `GET /events`: what a contact's timeline holds, newest first, or how often each name occurs. */
export function createEventListing({ workspace, events }: { workspace: Workspace; events: Events }) {
  return function list(query: URLSearchParams, path: string): Reply {
    if (query.get('type') !== 'user') return badParameter('type');
    const contact = events.resolve({
      id: query.get('intercom_user_id'),
      userId: query.get('user_id'),
      email: query.get('email'),
    });
    if (isRefusal(contact)) return contact;
    const stored = events.of(contact.id);
    return ok(query.get('summary') === 'true' ? summary(contact, stored) : page(contact, stored, query, path));
  };

  function page({ id, fields }: ContactRecord, stored: StoredEvent[], query: URLSearchParams, path: string) {
    const oldest = workspace.seconds() - LISTABLE_SECONDS;
    const perPage = Number(query.get('per_page') ?? 15) || 15;
    const before = Number(query.get('before') ?? Infinity);
    const listed = stamped(stored.filter((event) => event.createdAt >= oldest)).filter(({ stamp }) => stamp < before);
    const shown = listed.slice(0, perPage);
    const last = shown.at(-1);
    return {
      type: 'event.list',
      events: shown.map(({ event }) => ({
        type: 'event',
        id: `${id}-${event.sequence}`,
        event_name: event.eventName,
        created_at: event.createdAt,
        user_id: fields.external_id,
        intercom_user_id: id,
        email: fields.email,
        metadata: event.metadata,
      })),
      pages: last && listed.length > shown.length ? { next: nextUrl(path, last.stamp) } : {},
    };
  }
}

/**
 * Newest first, each with the cursor that Intercom's `before` seems to be: milliseconds, whose last three digits
 * tell events of one second apart here, so that no event falls between two pages.
 */
function stamped(events: StoredEvent[]): { event: StoredEvent; stamp: number }[] {
  const oldestFirst = events.toSorted((a, b) => a.createdAt - b.createdAt || a.sequence - b.sequence);
  let rank = 0;
  const all = oldestFirst.map((event, index) => {
    rank = oldestFirst[index - 1]?.createdAt === event.createdAt ? rank + 1 : 0;
    return { event, stamp: event.createdAt * 1000 + rank };
  });
  return all.toReversed();
}

function nextUrl(path: string, before: number): string {
  const url = new URL(path, 'https://api.intercom.io');
  url.searchParams.set('before', String(before));
  return url.href;
}

function summary({ id, fields }: ContactRecord, stored: StoredEvent[]) {
  const byName = Map.groupBy(stored, (event) => event.eventName.toLowerCase());
  return {
    type: 'event.summary',
    email: fields.email,
    intercom_user_id: id,
    user_id: fields.external_id,
    events: [...byName.values()].map((events) => {
      const times = events.map((event) => event.createdAt).sort((a, b) => a - b);
      return {
        name: events[0]?.eventName,
        first: isoTime(times[0]),
        last: isoTime(times.at(-1)),
        count: events.length,
        description: null,
      };
    }),
  };
}

function isoTime(seconds = 0): string {
  // A time that was sent in milliseconds may lie beyond what a Date can show.
  return new Date(Math.min(seconds * 1000, 8.64e15)).toISOString().replace('Z', '+00:00');
}
