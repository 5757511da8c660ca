import { shareKeys } from './advisory.ts';
import { refreshBlockers } from './blockers.ts';
import { ofPeople } from './conditions.ts';
import { Again, type Database, type Transaction } from './database.ts';
import { lockLanes, refreshDue } from './lanes.ts';
import { createRetention, type Retention } from './retention.ts';
import { seqsOf } from './search.ts';
import { add, count, type Deltas, installationOf, queuedIn } from './totals.ts';
import { currentOf } from './whose.ts';

export type { Retention };

/** Events after their end: back to the queue, and out of the database when their time is over. */
export type History = {
  /** Dead events back to their place in their person's line; how many of these were dead. */
  redrive(ids: string[]): Promise<number>;
  /** One bounded step of forgetting; true when more is to be done. */
  tidy(): Promise<boolean>;
};

export function createHistory({ db, slot, retention }: { db: Database; slot: number; retention: Retention }): History {
  return {
    redrive: (ids) => db.transaction((tx) => redrive(tx, seqsOf(ids), slot)),
    tidy: createRetention({ db, slot, retention }),
  };
}

type Dead = { seq: number; person: string };

async function redrive(tx: Transaction, seqs: number[], slot: number): Promise<number> {
  await tx.query(shareKeys);
  const dead = await tx.query<Dead>(
    "SELECT seq, person FROM settled WHERE seq = ANY($1::bigint[]) AND status = 'dead'",
    [seqs],
  );
  if (dead.length === 0) return 0;
  const owners = dead.map(({ person }) => person);
  const current = await currentOf(tx, owners);
  const erasures = await tx.query<{ keys: string[] }>('SELECT keys FROM erasure WHERE seq = ANY($1::bigint[])', [
    dead.map(({ seq }) => seq),
  ]);
  const blocked = erasures.flatMap(({ keys }) => keys);
  const waiting = [...blocked, ...blocked.map(await currentOf(tx, blocked))];
  await lockLanes(tx, [...owners.map(current), ...waiting]);
  const now = await currentOf(tx, owners);
  if (owners.some((person) => now(person) !== current(person))) throw new Again(); // joined before the lane was locked
  const back = await restore(
    tx,
    dead.map(({ seq, person }) => ({ seq, person: current(person) })),
  );
  if (waiting.length > 0) await refreshBlockers(tx, waiting);
  const deltas: Deltas = new Map([['dead', -back.length]]);
  for (const { person } of back) add(deltas, queuedIn(installationOf(person)), 1);
  await count(tx, slot, deltas);
  return back.length;
}

/**
 * Whoever else redrives the same waits here, and finds nothing. What belongs to an erased person is not brought back,
 * although the walk through the past, which forgets it, has not come to it yet.
 */
async function restore(tx: Transaction, dead: Dead[]): Promise<Dead[]> {
  const back = await tx.query<Dead>(
    `WITH asked AS (SELECT * FROM unnest($1::bigint[], $2::text[]) AS a (seq, person)),
     gone AS (
       DELETE FROM settled USING asked JOIN event ON event.seq = asked.seq LEFT JOIN job ON job.seq = asked.seq
       WHERE settled.seq = asked.seq AND settled.status = 'dead' AND NOT EXISTS (
         SELECT 1 FROM erasure WHERE erasure.seq > event.seq AND walked < erasure.seq - 1 AND ${ofPeople('erasure.keys')})
       RETURNING settled.seq, asked.person, settled.created_at)
     INSERT INTO job (seq, person, created_at) SELECT seq, person, created_at FROM gone RETURNING seq, person`,
    [dead.map(({ seq }) => seq), dead.map(({ person }) => person)],
  );
  const people = back.map(({ person }) => person);
  await tx.query(
    `UPDATE lane SET queued = queued + more.n FROM (SELECT person, count(*)::int AS n FROM unnest($1::text[]) AS p (person) GROUP BY person) AS more
     WHERE lane.person = more.person`,
    [people],
  );
  await refreshDue(tx, people);
  return back;
}
