import type { Erasure } from '../queue.ts';
import type { Database } from './database.ts';
import { idOf } from '../event-id.ts';

/**
 * The erasures that are under way, in memory: few, and asked for with each lease.
 *
 * An erased person goes on under a name of its own, `<installation>/erasure:<event id>`, with the record that is needed
 * to find it in Intercom. Whoever comes under the old keys is somebody new, and waits until the old one is gone there:
 * both would be the same contact.
 */
export type Erasing = {
  /** What is to be erased in Intercom, of a person that is an erasure; else null. */
  of(person: string): Erasure | null;
  /** Whether a person has to wait for the erasure of who had the same key. */
  blocks(person: string): boolean;
  /** After a commit that began or ended one. */
  reload(): void;
};

export function openErasing(db: Database): Erasing {
  const open = db.prepare('SELECT erasure.seq, person, keys FROM erasure JOIN job ON job.seq = erasure.seq');
  let byPerson = new Map<string, Erasure>();
  let blocked = new Set<string>();

  function reload(): void {
    byPerson = new Map();
    blocked = new Set();
    for (const row of open.all()) {
      const keys = readKeys(row.keys);
      byPerson.set(String(row.person), erasureOf(Number(row.seq), keys));
      for (const key of keys) blocked.add(key);
    }
  }

  reload();
  return { of: (person) => byPerson.get(person) ?? null, blocks: (person) => blocked.has(person), reload };
}

export function readKeys(json: unknown): string[] {
  const keys: string[] = JSON.parse(String(json));
  return keys;
}

function erasureOf(seq: number, keys: string[]): Erasure {
  const values = (kind: string): string[] =>
    keys.flatMap((key) => {
      const own = key.slice(key.indexOf('/') + 1);
      return own.startsWith(kind) ? [own.slice(kind.length)] : [];
    });
  return { id: idOf(seq), userId: values('user:')[0] ?? null, emails: values('email:') };
}

export const erasurePerson = (installation: string, seq: number): string => `${installation}/erasure:${idOf(seq)}`;
