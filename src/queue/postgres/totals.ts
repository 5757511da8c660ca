import type { Database, Transaction } from './database.ts';

/** What is counted in slots: see the table `total`. */
export type Deltas = Map<string, number>;

export const queuedIn = (installation: string): string => `queued/${installation}`;
export const installationOf = (person: string): string => person.slice(0, person.indexOf('/'));

export function add(deltas: Deltas, name: string, n: number): void {
  deltas.set(name, (deltas.get(name) ?? 0) + n);
}

/** To be the last statement of a transaction: what it locks is wanted by every other one of the slot. */
export async function count(tx: Transaction, slot: number, deltas: Deltas): Promise<void> {
  const some = [...deltas].filter(([, n]) => n !== 0).sort(([a], [b]) => (a < b ? -1 : 1));
  if (some.length === 0) return;
  await tx.query(
    `INSERT INTO total AS t (name, slot, n) SELECT name, $1, n FROM unnest($2::text[], $3::bigint[]) AS d (name, n)
     ON CONFLICT (name, slot) DO UPDATE SET n = t.n + excluded.n`,
    [slot, some.map(([name]) => name), some.map(([, n]) => n)],
  );
}

export async function totals(db: Pick<Database, 'query'>): Promise<Map<string, number>> {
  const rows = await db.query<{ name: string; n: number }>('SELECT name, sum(n)::bigint AS n FROM total GROUP BY name');
  return new Map(rows.map(({ name, n }) => [name, n]));
}
