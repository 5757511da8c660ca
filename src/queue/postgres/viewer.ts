import type { NewestConsent, PersonDetail, PersonView } from '../queue.ts';
import type { Database } from './database.ts';
import { aliasesOf, currentOf, own, type Reader } from './whose.ts';

/** Looks at people, and at what is known of them. */
export type Viewer = {
  /** Whom a key belongs to by now. */
  person(installation: string, key: string): Promise<PersonDetail>;
  record(installation: string, key: string): Promise<string | null>;
};

export function createViewer(db: Database): Viewer {
  return {
    person: (installation, key) =>
      db.transaction(async (tx) => {
        const asked = `${installation}/${key}`;
        if (asked.includes('\0')) return { ...nobody, person: key, aliases: [] }; // PostgreSQL can't hold such a text
        const person = (await currentOf(tx, [asked])).get(asked) ?? asked;
        const [view] = await views(tx, [person]);
        const aliases = await aliasesOf(tx, person);
        return { ...nobody, ...view, person: own(person), aliases: aliases.map(own) };
      }),
    async record(installation, key) {
      const asked = `${installation}/${key}`;
      if (asked.includes('\0')) return null;
      const [row] = await db.query<{ record: string }>('SELECT record FROM contact WHERE person = $1', [asked]);
      return row?.record ?? null;
    },
  };
}

const nobody = { record: null, joined: [], consent: null, queued: 0 };

/**
 * What is known of these people, in their order. `queued` is as the lanes have it: within a transaction that has added
 * events of its own, with those.
 */
export async function views(tx: Reader, people: string[]): Promise<PersonView[]> {
  if (people.length === 0) return [];
  const rows = await tx.query<Omit<PersonView, 'consent'> & NullableConsent>(
    `SELECT asked.person, contact.record, consent.at AS "atMs", consent.functional, consent.marketing,
       ARRAY(SELECT other.record FROM joined JOIN contact AS other ON other.person = joined.source
         WHERE joined.person = asked.person ORDER BY joined.source COLLATE "C") AS joined,
       coalesce((SELECT sum(lane.queued) FROM lane WHERE lane.person = asked.person
         OR lane.person IN (SELECT source FROM joined WHERE joined.person = asked.person)), 0)::int AS queued
     FROM unnest($1::text[]) WITH ORDINALITY AS asked (person, place)
     LEFT JOIN contact ON contact.person = asked.person LEFT JOIN consent ON consent.person = asked.person
     ORDER BY asked.place`,
    [people],
  );
  return rows.map(({ person, record, joined, queued, ...consent }) => ({
    person: own(person),
    record,
    joined,
    consent: toConsent(consent),
    queued,
  }));
}

type NullableConsent = { [K in keyof NewestConsent]: NewestConsent[K] | null };

function toConsent({ atMs, functional, marketing }: NullableConsent): NewestConsent | null {
  return atMs === null || functional === null || marketing === null ? null : { functional, marketing, atMs };
}
