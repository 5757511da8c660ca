import type { Transaction } from './database.ts';
import { type Lane, laneState } from './lanes.ts';

export type Join = { from: string; into: string };

/** Which of these have left anything behind that their new person inherits: most keys are tied before they ever did. */
export async function findLegacies(tx: Transaction, people: string[]): Promise<Set<string>> {
  if (people.length === 0) return new Set();
  const rows = await tx.query<{ person: string }>(
    `SELECT person FROM contact WHERE person = ANY($1::text[])
     UNION SELECT person FROM joined WHERE person = ANY($1::text[])
     UNION SELECT person FROM consent WHERE person = ANY($1::text[])
     UNION SELECT "into" FROM lane WHERE "into" = ANY($1::text[])`,
    [people],
  );
  return new Set(rows.map(({ person }) => person));
}

/**
 * Makes one person of two, both of whose lanes are locked: records, consent and waiting jobs. While `from` is leased
 * its line stays, and `into` waits for it. `lanes` are kept true to the tables.
 */
export async function joinPeople(tx: Transaction, { from, into }: Join, lanes: Map<string, Lane>): Promise<void> {
  const source = lanes.get(from)!;
  const target = lanes.get(into)!;
  // A record that exists, or may still come into being: by queued jobs, or by a lease that has not ended yet.
  await tx.query(
    `WITH moved AS (DELETE FROM joined WHERE person = $1 RETURNING source)
     INSERT INTO joined (person, source)
     SELECT $2, source FROM moved UNION SELECT $2, $1 WHERE $3 OR EXISTS (SELECT 1 FROM contact WHERE person = $1)
     ON CONFLICT DO NOTHING`,
    [from, into, source.queued > 0 || source.token !== null],
  );
  await tx.query(
    `INSERT INTO consent AS c (person, at, functional, marketing)
     SELECT $2, at, functional, marketing FROM consent WHERE person = $1
     ON CONFLICT (person) DO UPDATE SET at = excluded.at, functional = excluded.functional, marketing = excluded.marketing
     WHERE excluded.at > c.at`,
    [from, into],
  );
  if (source.token !== null) {
    await tx.query('UPDATE lane SET "into" = $2 WHERE person = $1', [from, into]);
    await tx.query('UPDATE lane SET blockers = blockers + 1 WHERE person = $1', [into]);
    source.into = into;
    target.blockers += 1;
    return;
  }
  await moveLine(tx, source, target);
}

/** The waiting jobs of one line into another; leases that are to become part of the first become part of the second. */
export async function moveLine(tx: Transaction, source: Lane, target: Lane): Promise<number> {
  const moved = await tx.query('UPDATE job SET person = $2 WHERE person = $1 RETURNING 1', [
    source.person,
    target.person,
  ]);
  const pointing = await tx.query('UPDATE lane SET "into" = $2 WHERE "into" = $1 RETURNING 1', [
    source.person,
    target.person,
  ]);
  await tx.query('UPDATE lane SET queued = queued - $2, blockers = blockers - $3 WHERE person = $1', [
    source.person,
    moved.length,
    pointing.length,
  ]);
  await tx.query('UPDATE lane SET queued = queued + $2, blockers = blockers + $3 WHERE person = $1', [
    target.person,
    moved.length,
    pointing.length,
  ]);
  source.queued -= moved.length;
  source.blockers -= pointing.length;
  target.queued += moved.length;
  target.blockers += pointing.length;
  return moved.length;
}

/** What `from` was joined to, and that person in turn, as one step: jobs that come now go to the end of it. */
export function followJoins(joins: Join[]): (person: string) => string {
  const next = new Map(joins.map(({ from, into }) => [from, into]));
  return (person) => {
    let last = person;
    for (let one = next.get(last); one !== undefined; one = next.get(last)) last = one;
    return last;
  };
}

export const isFree = (lane: Lane): boolean => lane.state === laneState.free;
