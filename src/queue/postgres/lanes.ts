import { Again, type Transaction } from './database.ts';

/** Lanes as they are in the running transaction, which holds them locked. */
export type Lane = {
  person: string;
  queued: number;
  state: number;
  dueAtMs: number;
  blockers: number;
  token: string | null;
  into: string | null;
  record: string | null;
};

export const laneState = { free: 0, leased: 1, held: 2, void: 3 } as const;

/** The database's clock, as every replica reads it; stable within a statement, so that an index can be bounded by it. */
export const nowMs = '(extract(epoch FROM now()) * 1000)::bigint';

type Row = Omit<Lane, 'dueAtMs'> & { due_at: number };

const columns = 'person, queued, state, due_at, blockers, token, "into", record';

/**
 * Makes the lanes that are missing and locks all, in the order of their keys: transactions that lock more than one do
 * it here, in one go, so that none waits for another that waits for it.
 */
export async function lockLanes(tx: Transaction, people: Iterable<string>): Promise<Map<string, Lane>> {
  const keys = [...new Set(people)].sort();
  if (keys.length === 0) return new Map();
  const made = tx.query(
    `INSERT INTO lane (person, installation, state)
     SELECT key, split_part(key, '/', 1), CASE WHEN strpos(key, '/anon:') > 0 THEN ${laneState.held} ELSE ${laneState.free} END
     FROM unnest($1::text[]) WITH ORDINALITY t (key, o) ORDER BY o ON CONFLICT (person) DO NOTHING`,
    [keys],
  );
  const locked = tx.query<Row>(
    `SELECT ${columns} FROM lane WHERE person = ANY($1::text[]) ORDER BY person COLLATE "C" FOR UPDATE`,
    [keys],
  );
  const [, rows] = await Promise.all([made, locked]);
  if (rows.length < keys.length) throw new Again(); // one was swept in between
  return new Map(rows.map(({ due_at, ...lane }) => [lane.person, { ...lane, dueAtMs: due_at }]));
}

/** When the first job of a lane is, and now at the earliest: behind those who wait already. */
export const firstDue = `greatest(${nowMs}, coalesce((SELECT job.due_at FROM job WHERE job.person = lane.person ORDER BY seq LIMIT 1), 0))`;

/** Free lanes are due when their first job is; to be called after jobs came, went or were postponed other than by lease. */
export async function refreshDue(tx: Transaction, people: Iterable<string>): Promise<void> {
  const keys = [...new Set(people)];
  if (keys.length === 0) return;
  await tx.query(`UPDATE lane SET due_at = ${firstDue} WHERE person = ANY($1::text[]) AND state = ${laneState.free}`, [
    keys,
  ]);
}
