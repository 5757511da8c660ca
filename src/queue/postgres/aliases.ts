import type { Aliases } from '../kinship.ts';
import type { Reader, Transaction } from './database.ts';

/** The aliases of some keys, and of whom they lead to, in memory for one transaction; with what is to be written. */
export type KnownAliases = Aliases & { changed(): Map<string, string> };

export function knowAliases(stored: Map<string, string>): KnownAliases {
  const changed = new Map<string, string>();
  return {
    get: (key) => changed.get(key) ?? stored.get(key),
    set: (key, person) => void changed.set(key, person),
    changed: () => changed,
  };
}

/** All links from these keys to the people at the end of them. */
export async function readAliases(tx: Reader, keys: string[]): Promise<Map<string, string>> {
  if (keys.length === 0) return new Map();
  const rows = await tx.query<{ key: string; person: string }>(
    `WITH RECURSIVE link (key, person) AS (
       SELECT key, person FROM alias WHERE key = ANY($1::text[])
       UNION SELECT alias.key, alias.person FROM link JOIN alias ON alias.key = link.person)
     SELECT key, person FROM link`,
    [keys],
  );
  return new Map(rows.map(({ key, person }) => [key, person]));
}

/** Within a transaction that has locked the lanes of whom the keys led to. */
export async function writeAliases(tx: Transaction, changed: Map<string, string>): Promise<void> {
  if (changed.size === 0) return;
  const sorted = [...changed].sort(([a], [b]) => (a < b ? -1 : 1));
  await tx.query(
    `INSERT INTO alias (key, person) SELECT * FROM unnest($1::text[], $2::text[])
     ON CONFLICT (key) DO UPDATE SET person = excluded.person`,
    [sorted.map(([key]) => key), sorted.map(([, person]) => person)],
  );
}
