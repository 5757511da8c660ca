import type { Transaction } from './database.ts';

/** Events, with everything that was noted of them. */
export async function forgetEvents(tx: Transaction, seqs: number[]): Promise<void> {
  if (seqs.length === 0) return;
  await tx.query(
    `WITH ended AS (DELETE FROM settled WHERE seq = ANY($1::bigint[])),
       tried AS (DELETE FROM attempt WHERE seq = ANY($1::bigint[]))
     DELETE FROM event WHERE seq = ANY($1::bigint[])`,
    [seqs],
  );
}
