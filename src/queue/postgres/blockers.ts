import type { Transaction } from './database.ts';
import { refreshDue } from './lanes.ts';

/**
 * What must end before these lanes may be leased, counted anew: leases whose lines become part of theirs, and erasures
 * that are queued, of whoever had their key. Devices are leased by nobody, and a join would carry the wait along to
 * one who has not been erased. The lanes are locked by the caller, and the jobs as they will be.
 */
export async function refreshBlockers(tx: Transaction, people: Iterable<string>): Promise<void> {
  const keys = [...new Set(people)];
  await tx.query(
    `UPDATE lane SET blockers = (SELECT count(*) FROM lane AS other WHERE other."into" = lane.person)
       + CASE WHEN strpos(person, '/anon:') > 0 THEN 0 ELSE
           (SELECT count(*) FROM erasure JOIN job USING (seq) WHERE lane.person = ANY(erasure.keys)) END
     WHERE person = ANY($1::text[])`,
    [keys],
  );
  await refreshDue(tx, keys);
}
