import { isUser } from '../kinship.ts';
import type { Transaction } from './database.ts';

export type Reader = Pick<Transaction, 'query'>;

/** Whom each of these keys belongs to by now. What is read holds until the lane of that person is unlocked. */
export async function currentOf(tx: Reader, keys: Iterable<string>): Promise<Map<string, string>> {
  const wanted = [...new Set(keys)];
  const current = new Map(wanted.map((key) => [key, key]));
  const second = wanted.filter((key) => !isUser(key));
  if (second.length === 0) return current;
  // UNION: also where they went in a circle, it would end.
  const rows = await tx.query<{ key: string; person: string; next: string | null }>(
    `WITH RECURSIVE walk (key, person) AS (
       SELECT key, key FROM unnest($1::text[]) AS t (key)
       UNION SELECT walk.key, alias.person FROM walk JOIN alias ON alias.key = walk.person)
     SELECT walk.key, walk.person, alias.person AS next FROM walk LEFT JOIN alias ON alias.key = walk.person`,
    [second],
  );
  for (const { key, person, next } of rows) if (next === null || next === person) current.set(key, person);
  return current;
}

/** The other keys that belong to a person, in their order. */
export async function aliasesOf(tx: Reader, person: string): Promise<string[]> {
  const rows = await tx.query<{ key: string }>(
    `WITH RECURSIVE own (key) AS (SELECT $1::text UNION SELECT alias.key FROM alias JOIN own ON alias.person = own.key)
     SELECT key FROM own WHERE key <> $1 ORDER BY key COLLATE "C"`,
    [person],
  );
  return rows.map(({ key }) => key);
}

/** Without its installation. */
export const own = (person: string): string => person.slice(person.indexOf('/') + 1);
