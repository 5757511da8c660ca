import type { NewEvent, PersonDetail, PersonView, Preview } from '../queue.ts';
import type { Arrivals } from './arrivals.ts';
import type { LaneSets } from './lane-sets.ts';
import type { People } from './people.ts';
import type { Statements } from './statements.ts';

/** Looks at people as they are within the running transaction. */
export type Viewer = {
  /** The events as `enqueue` would take them, for a transaction that is rolled back. */
  preview(events: NewEvent[]): Preview;
  /** Whom a key belongs to, by installation and key. */
  person(key: string): PersonDetail;
};

export function createViewer(parts: { sql: Statements; arrivals: Arrivals; lanes: LaneSets; people: People }): Viewer {
  const { sql, arrivals, lanes, people } = parts;

  function preview(events: NewEvent[]): Preview {
    const receipts = arrivals.enqueue(events);
    const keys = events.map((event) => people.current(keyOf(event)));
    return { receipts, people: keys.map(own), views: [...new Set(keys)].map(view) };
  }

  function view(person: string): PersonView {
    const sources = sql.joined.all(person).map((row) => String(row.source));
    const consent = sql.consent.get(person);
    return {
      person: own(person),
      record: recordOf(person),
      joined: sources.flatMap((source) => recordOf(source) ?? []),
      consent: consent
        ? { functional: consent.functional === 1, marketing: consent.marketing === 1, atMs: Number(consent.at) }
        : null,
      queued: [person, ...sources].reduce((sum, one) => sum + lanes.of(one).lengthOf(one), 0),
    };
  }

  function recordOf(person: string): string | null {
    const record = sql.contact.get(person)?.record;
    return typeof record === 'string' ? record : null;
  }

  function describe(key: string): PersonDetail {
    const found = people.current(key);
    return { ...view(found), aliases: people.aliasesOf(found).map(own) };
  }

  return { preview, person: describe };
}

function keyOf({ installation, userId, email, anonymousId }: NewEvent): string {
  if (userId !== null) return `${installation}/user:${userId}`;
  return email !== null ? `${installation}/email:${email}` : `${installation}/anon:${anonymousId ?? ''}`;
}

/** Without its installation. */
const own = (person: string): string => person.slice(person.indexOf('/') + 1);
