import type { Database } from './database.ts';
import { lockLanes, nowMs } from './lanes.ts';
import { count, queuedIn } from './totals.ts';

const stepLanes = 500;
const stepRows = 2000;
const stepPeople = 5000;

/** One bounded step of filtering what waits for an installation; true when more is to be done. */
export async function discardJobs(db: Database, installation: string, slot: number): Promise<boolean> {
  const lanes = await db.query<{ person: string }>(
    'SELECT person FROM lane WHERE installation = $1 AND queued > 0 LIMIT $2',
    [installation, stepLanes],
  );
  if (lanes.length === 0) return false;
  const people = lanes.map(({ person }) => person);
  await db.transaction(async (tx) => {
    await lockLanes(tx, people);
    const gone = await tx.query<{ n: number }>(
      `WITH gone AS (
         DELETE FROM job WHERE seq = ANY(ARRAY(SELECT seq FROM job WHERE person = ANY($1::text[]) LIMIT ${stepRows}))
         RETURNING seq, person),
       ended AS (INSERT INTO settled (seq, at, status, reason, person, attempts, calls)
         SELECT seq, ${nowMs}, 'filtered', 'installation_removed', person, 0, 0 FROM gone),
       fewer AS (UPDATE lane SET queued = queued - less.n
         FROM (SELECT person, count(*)::int AS n FROM gone GROUP BY person) AS less WHERE lane.person = less.person)
       SELECT count(*)::int AS n FROM gone`,
      [people],
    );
    const n = gone[0]?.n ?? 0;
    if (n === 0) await tx.query('UPDATE lane SET queued = 0 WHERE person = ANY($1::text[])', [people]);
    await count(
      tx,
      slot,
      new Map([
        ['filtered', n],
        [queuedIn(installation), -n],
      ]),
    );
  });
  return true;
}

const known = [
  { table: 'contact', key: 'person' },
  { table: 'alias', key: 'key' },
  { table: 'joined', key: 'person' },
  { table: 'consent', key: 'person' },
];

/**
 * What is known of an installation's people. Goes through the keys of all, a few at a time: how those of one
 * installation lie together depends on the collation of the database.
 */
export async function forgetPeople(db: Database, installation: string): Promise<void> {
  for (const { table, key } of known) {
    for (let after: string | null = ''; after !== null;) {
      const [next]: { last: string | null }[] = await db.query<{ last: string | null }>(
        `WITH page AS (SELECT DISTINCT ${key} AS key FROM ${table} WHERE ${key} > $1 ORDER BY key LIMIT ${stepPeople}),
         gone AS (DELETE FROM ${table} WHERE ${key} IN (SELECT key FROM page WHERE starts_with(key, $2 || '/')))
         SELECT max(key) AS last FROM page`,
        [after, installation],
      );
      after = next?.last ?? null;
    }
  }
}
