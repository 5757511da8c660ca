import type { NewestConsent, PersonDetail, PersonView } from '../queue.ts';
import type { Database, Reader } from './database.ts';
import { storable } from './storable.ts';
import { aliasesOf, currentOf, own } from './whose.ts';

/** Looks at people, and at what is known of them. */
export type Viewer = {
  /** Whom a key belongs to by now. */
  person(installation: string, key: string): Promise<PersonDetail>;
  /**
   * These people, in their order. `queued` is as the lanes have it: within a transaction that has added events of its
   * own, with those.
   */
  views(tx: Reader, people: string[]): Promise<PersonView[]>;
};

export function createViewer(db: Database): Viewer {
  return {
    async person(installation, key) {
      const asked = storable(`${installation}/${key}`);
      const person = (await currentOf(db, [asked]))(asked);
      const [[view], aliases] = await Promise.all([views(db, [person]), aliasesOf(db, person)]);
      return { ...nobody, ...view, person: own(person), aliases: aliases.map(own) };
    },
    views,
  };
}

const nobody = { record: null, joined: [], consent: null, queued: 0 };

type Row = Omit<PersonView, 'consent'> & { [K in keyof NewestConsent]: NewestConsent[K] | null };

async function views(tx: Reader, people: string[]): Promise<PersonView[]> {
  if (people.length === 0) return [];
  const rows = await tx.query<Row>(
    `SELECT asked.person, contact.record, consent.at AS "atMs", consent.functional, consent.marketing,
       ARRAY(SELECT other.record FROM joined JOIN contact AS other ON other.person = joined.source
         WHERE joined.person = asked.person ORDER BY joined.source COLLATE "C") AS joined,
       (SELECT coalesce(sum(lane.queued), 0)::int FROM lane WHERE lane.person = ANY(ARRAY(
         SELECT asked.person UNION SELECT source FROM joined WHERE joined.person = asked.person))) AS queued
     FROM unnest($1::text[]) WITH ORDINALITY AS asked (person, place)
     LEFT JOIN contact ON contact.person = asked.person LEFT JOIN consent ON consent.person = asked.person
     ORDER BY asked.place`,
    [people],
  );
  return rows.map(({ person, record, joined, queued, atMs, functional, marketing }) => ({
    person: own(person),
    record,
    joined,
    consent: atMs === null ? null : { functional: functional === true, marketing: marketing === true, atMs },
    queued,
  }));
}
