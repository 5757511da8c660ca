import type { Erasure, ErasureState } from '../queue.ts';
import { refreshBlockers } from './blockers.ts';
import type { Database, Reader, Transaction } from './database.ts';
import { erasePerson } from './erase.ts';
import { createErasureWalk, endErasures, forgetRecords } from './erasure-walk.ts';
import { idOf, seqOf } from '../event-id.ts';
import { lockLanes } from './lanes.ts';
import { storable } from './storable.ts';
import { currentOf, own } from './whose.ts';

/**
 * Everything of a person out of the database, and a job that does the same in Intercom.
 *
 * An erased person goes on under a name of its own, `<installation>/erasure:<event id>`, with the record that is needed
 * to find it in Intercom. Whoever comes under the old keys is somebody new, and waits until the old one is gone there:
 * both would be the same contact.
 */
export type Erasures = {
  erase(installation: string, key: string): Promise<string>;
  erasure(id: string): Promise<ErasureState | null>;
  /** One bounded step through the events of the past; true when more is to be done. */
  tidy(): Promise<boolean>;
};

export function createErasures({ db, slot }: { db: Database; slot: number }): Erasures {
  const walk = createErasureWalk(db);

  async function erase(installation: string, key: string): Promise<string> {
    const id = await db.transaction((tx) => erasePerson(tx, storable(`${installation}/${key}`), slot));
    await walk('wait'); // where little is kept, nothing is left to be waited for
    return id;
  }

  async function erasure(id: string): Promise<ErasureState | null> {
    const seq = seqOf(id);
    if (!Number.isSafeInteger(seq)) return null;
    const [row] = await db.query<Ending>(
      `SELECT event.received_at AS "requestedAtMs", settled.at AS "endedAtMs", settled.status, settled.reason,
         settled.intercom_status AS "intercomStatus", coalesce(settled.calls, 0) AS calls, erasure.seq IS NOT NULL AS "isOpen"
       FROM event LEFT JOIN settled ON settled.seq = event.seq LEFT JOIN erasure ON erasure.seq = event.seq
       WHERE event.seq = $1 AND event.type = 'erasure'`,
      [seq],
    );
    if (!row) return null;
    const { status, isOpen, endedAtMs, ...rest } = row;
    const isDead = status === 'dead' || status === 'filtered'; // its installation was removed
    const isDone = status === 'delivered' && !isOpen;
    const state = isDead ? 'dead' : isDone ? 'done' : 'running';
    return { id, ...rest, status: state, endedAtMs: isDead || isDone ? endedAtMs : null };
  }

  return { erase, erasure, tidy: () => walk('skip') };
}

type Ending = Omit<ErasureState, 'id' | 'status'> & { status: string | null; isOpen: boolean };

/** What is to be erased in Intercom, of those of these people that are an erasure. */
export async function erasureOf(db: Reader, people: string[]): Promise<Map<string, Erasure>> {
  const erased = people.filter((person) => own(person).startsWith('erasure:'));
  const seqs = erased.map((person) => seqOf(own(person).slice('erasure:'.length)));
  const rows = await db.query<{ seq: number; keys: string[] }>(
    'SELECT seq, keys FROM erasure WHERE seq = ANY($1::bigint[])',
    [seqs.filter(Number.isSafeInteger)],
  );
  const known = new Map(rows.map(({ seq, keys }) => [seq, describe(seq, keys)]));
  return new Map(
    erased.flatMap((person, n) => {
      const erasure = known.get(seqs[n] ?? Number.NaN);
      return erasure ? [[person, erasure]] : [];
    }),
  );
}

function describe(seq: number, keys: string[]): Erasure {
  const values = (kind: string): string[] =>
    keys.map(own).flatMap((key) => (key.startsWith(kind) ? [key.slice(kind.length)] : []));
  return { id: idOf(seq), userId: values('user:')[0] ?? null, emails: values('email:') };
}

/**
 * What the end of the jobs of erasures means for who waits for them, within the transaction that has taken the jobs out
 * of the queue.
 */
export async function settledErasures(tx: Transaction, done: { seq: number; status: string }[]): Promise<void> {
  const rows = await tx.query<{ seq: number; keys: string[] }>(
    'SELECT seq, keys FROM erasure WHERE seq = ANY($1::bigint[])',
    [done.map(({ seq }) => seq)],
  );
  if (rows.length === 0) return;
  const keys = rows.flatMap((row) => row.keys);
  const waiting = [...keys, ...keys.map(await currentOf(tx, keys))];
  await lockLanes(tx, waiting);
  await refreshBlockers(tx, waiting);
  const delivered = new Set(done.flatMap(({ seq, status }) => (status === 'delivered' ? seq : [])));
  for (const row of rows) {
    if (!delivered.has(row.seq)) continue; // a dead one keeps what it needs to be redriven
    await forgetRecords(tx, row);
    await forgetExchanges(tx, row.seq);
  }
  await endErasures(tx);
}

/** Warnings are no personal data; requests and answers are. */
async function forgetExchanges(tx: Transaction, seq: number): Promise<void> {
  const rows = await tx.query<{ n: number; exchange: string | null }>(
    'SELECT n, exchange FROM attempt WHERE seq = $1',
    [seq],
  );
  for (const { n, exchange } of rows) {
    const known: { warnings?: unknown } = exchange === null ? {} : JSON.parse(exchange);
    await tx.query('UPDATE attempt SET exchange = $3 WHERE seq = $1 AND n = $2', [
      seq,
      n,
      JSON.stringify({ calls: [], warnings: known.warnings ?? null }),
    ]);
  }
}
