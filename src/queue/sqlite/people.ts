import { LRUCache } from 'lru-cache';
import type { NewEvent } from '../queue.ts';
import type { Database } from './database.ts';

/**
 * Which person an event belongs to, and which people turn out to be one.
 *
 * A person is `<installation>/<kind>:<value>`. A person without a userId (an email, a device) is joined to another
 * when one event carries both keys. Two userIds are never joined: an email stays with the first user that had it,
 * a device goes to the user that was seen on it last.
 */
export type People = {
  /** The person of a new event; ties its other keys to that person, within the running transaction. */
  resolve(event: NewEvent, join: (from: string, into: string) => void): string;
  /** The person that a key, as stored with a job, belongs to by now. */
  current(key: string): string;
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

  function current(key: string): string {
    if (isUser(key)) return key;
    let person = key;
    for (let next = alias(person); next !== undefined && next !== person; next = alias(person)) person = next;
    return person;
  }

  function resolve(event: NewEvent, join: (from: string, into: string) => void): string {
    const { installation, userId, email } = event;
    const device = ties.devices ? event.anonymousId : null;
    if (userId !== null) {
      const person = `${installation}/user:${userId}`;
      if (email !== null) tie(`${installation}/email:${email}`, person, join);
      if (device !== null) tie(`${installation}/anon:${device}`, person, join);
      return person;
    }
    if (email !== null) {
      const person = current(`${installation}/email:${email}`);
      if (device !== null) tie(`${installation}/anon:${device}`, person, join);
      return person;
    }
    return current(`${installation}/anon:${event.anonymousId ?? ''}`);
  }

  function tie(key: string, person: string, join: (from: string, into: string) => void): void {
    const owner = current(key);
    if (owner === person) return;
    if (isUser(owner)) {
      if (isDevice(key) && isUser(person)) {
        keepJobs.run(owner, key); // what the device did before belongs to whom it belonged to then
        setAlias(key, person);
      }
      return;
    }
    setAlias(owner, person);
    if (owner !== key) setAlias(key, person);
    join(owner, person);
  }

  function aliasesOf(person: string): string[] {
    const keys = aliases.all(person).map(({ key }) => String(key));
    return keys.filter((key) => key !== person && current(key) === person);
  }

  function forget(keys: string[]): void {
    for (const key of keys) {
      remove.run(key);
      known.set(key, nobody);
    }
  }

  return { resolve, current, aliasesOf, forget, rollback: () => known.clear() };
}

const isUser = (person: string): boolean => person.slice(person.indexOf('/') + 1).startsWith('user:');
export const isDevice = (person: string): boolean => person.slice(person.indexOf('/') + 1).startsWith('anon:');
