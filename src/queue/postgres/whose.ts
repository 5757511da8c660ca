import { createKinship } from '../kinship.ts';
import { knowAliases, readAliases } from './aliases.ts';
import type { Reader } from './database.ts';

/** Whom each of these keys belongs to by now. What is read holds while the lane of that person is locked. */
export async function currentOf(tx: Reader, keys: string[]): Promise<(key: string) => string> {
  return createKinship(knowAliases(await readAliases(tx, keys)), { devices: true }).current;
}

/** The other keys that belong to a person, in their order. */
export async function aliasesOf(tx: Reader, person: string): Promise<string[]> {
  // A key may belong to one that belongs to the person. UNION: also where they went in a circle, it would end.
  const rows = await tx.query<{ key: string }>(
    `WITH RECURSIVE own (key) AS (SELECT $1::text COLLATE "C" UNION SELECT alias.key FROM alias JOIN own ON alias.person = own.key)
     SELECT key FROM own WHERE key <> $1 ORDER BY key COLLATE "C"`,
    [person],
  );
  return rows.map(({ key }) => key);
}

/** Without its installation. */
export const own = (person: string): string => person.slice(person.indexOf('/') + 1);
