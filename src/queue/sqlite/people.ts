import { LRUCache } from 'lru-cache';
import { createKinship, type Kinship } from '../kinship.ts';
import type { Database } from './database.ts';

/** Whom each key belongs to, kept in the file. */
export type People = Kinship & {
  /** The other keys that belong to a person. */
  aliasesOf(person: string): string[];
  /** From now on these keys belong to nobody. */
  forget(keys: string[]): void;
  rollback(): void;
};

export function openPeople(db: Database, ties: { devices: boolean }): People {
  const select = db.prepare('SELECT person FROM alias WHERE key = ?');
  const upsert = db.prepare('INSERT INTO alias VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET person = excluded.person');
  const keepJobs = db.prepare("UPDATE job SET person = ? WHERE person = ? AND instr(person, '/anon:') > 0");
  // A key may belong to one that belongs to the person. UNION: also where they went in a circle, it would end.
  const aliases = db.prepare(
    'WITH RECURSIVE own (key) AS (SELECT ? UNION SELECT alias.key FROM alias JOIN own ON alias.person = own.key) SELECT key FROM own',
  );
  const remove = db.prepare('DELETE FROM alias WHERE key = ?');
  const known = new LRUCache<string, string>({ max: 50_000 });
  const nobody = '';

  function alias(key: string): string | undefined {
    let person = known.get(key);
    if (person === undefined) {
      person = String(select.get(key)?.person ?? nobody);
      known.set(key, person);
    }
    return person === nobody ? undefined : person;
  }

  function setAlias(key: string, person: string): void {
    upsert.run(key, person);
    known.set(key, person);
  }

  const kinship = createKinship(
    { get: alias, set: setAlias, onHandOver: (device, from) => void keepJobs.run(from, device) },
    ties,
  );

  function aliasesOf(person: string): string[] {
    const keys = aliases.all(person).map(({ key }) => String(key));
    return keys.filter((key) => key !== person && kinship.current(key) === person);
  }

  function forget(keys: string[]): void {
    for (const key of keys) {
      remove.run(key);
      known.set(key, nobody);
    }
  }

  return { ...kinship, aliasesOf, forget, rollback: () => known.clear() };
}
