import { randomUUID } from 'node:crypto';
import type { Done, ErasureState } from '../queue.ts';
import { aloneAsErasure } from './advisory.ts';
import { refreshBlockers } from './blockers.ts';
import type { Database, Transaction } from './database.ts';
import { erasurePerson } from './erasing.ts';
import { createErasureWalk } from './erasure-walk.ts';
import { idOf, seqOf } from '../event-id.ts';
import { forgetEvents } from './forget.ts';
import { type Lane, laneState, lockLanes, nowMs } from './lanes.ts';
import { count, queuedIn } from './totals.ts';
import { aliasesOf, currentOf } from './whose.ts';

/** Everything of a person out of the database, and a job that does the same in Intercom. */
export type Erasures = {
  erase(installation: string, key: string): Promise<string>;
  erasure(id: string): Promise<ErasureState | null>;
  /**
   * What the settlement of these jobs, of the lease of an erasure, means for who waits. Within the settling
   * transaction, after the jobs have become settled.
   */
  settled(tx: Transaction, done: Done[]): Promise<void>;
  /** One bounded step through the events of the past; true when more is to be done. */
  tidy(): Promise<boolean>;
};

export function createErasures(db: Database, { slot }: { slot: number }): Erasures {
  const walk = createErasureWalk(db);

  async function erase(installation: string, key: string): Promise<string> {
    const id = await db.transaction((tx) => eraseWithin(tx, installation, `${installation}/${key}`));
    await walk.step('wait'); // where little is kept, nothing is left to be waited for
    return id;
  }

  async function eraseWithin(tx: Transaction, installation: string, key: string): Promise<string> {
    await tx.query(aloneAsErasure);
    const person = (await currentOf(tx, [key])).get(key) ?? key;
    const keys = [person, ...(await aliasesOf(tx, person))];
    const [next] = await tx.query<{ seq: number }>("SELECT nextval('event_seq') AS seq");
    const seq = next?.seq ?? Number.NaN;
    const name = erasurePerson(installation, seq);
    const lanes = await lockLanes(tx, [...keys, name]);
    const dropped = await dropJobs(tx, keys);
    const devices = await tx.query<{ device: string }>(
      `SELECT DISTINCT installation || '/anon:' || anonymous_id AS device FROM event
       WHERE seq = ANY($1::bigint[]) AND anonymous_id IS NOT NULL`,
      [dropped],
    );
    await append(tx, installation, seq, name);
    await tx.query('INSERT INTO erasure (seq, keys, devices) VALUES ($1, $2, $3)', [
      seq,
      keys,
      devices.map(({ device }) => device),
    ]);
    await moveRecords(tx, { keys, into: name, lanes });
    await forgetEvents(tx, dropped);
    await tx.query('DELETE FROM consent WHERE person = ANY($1::text[])', [keys]);
    await tx.query('DELETE FROM joined WHERE person = ANY($1::text[])', [keys]);
    await tx.query('DELETE FROM alias WHERE key = ANY($1::text[])', [keys]);
    await lockLanes(tx, keys); // new ones, where a lease went on under another name
    await refreshBlockers(tx, [...keys, name]);
    await count(
      tx,
      slot,
      new Map([
        ['accepted', 1],
        ['filtered', dropped.length],
        [queuedIn(installation), 1 - dropped.length],
      ]),
    );
    return idOf(seq);
  }

  async function settled(tx: Transaction, done: Done[]): Promise<void> {
    const rows = await tx.query<{ seq: number; keys: string[] }>(
      'SELECT seq, keys FROM erasure WHERE seq = ANY($1::bigint[])',
      [done.map(({ id }) => seqOf(id))],
    );
    const delivered = new Set(done.filter(({ status }) => status === 'delivered').map(({ id }) => seqOf(id)));
    for (const { seq, keys } of rows) {
      // Whoever came meanwhile may have been joined to somebody, who so waits.
      const waiting = [...keys, ...(await currentOf(tx, keys)).values()];
      await lockLanes(tx, waiting);
      await refreshBlockers(tx, waiting);
      if (!delivered.has(seq)) continue; // a dead one keeps what it needs to be redriven
      await walk.forgetRecords(tx, keys, seq);
      await forgetExchanges(tx, seq);
    }
    if (rows.length > 0) await walk.end(tx);
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

  return { erase, erasure, settled, tidy: () => walk.step('skip') };
}

type Ending = Omit<ErasureState, 'id' | 'status'> & { status: string | null; isOpen: boolean };

/** What is queued is never sent. Nobody adds to the lines, which are locked. */
async function dropJobs(tx: Transaction, keys: string[]): Promise<number[]> {
  const rows = await tx.query<{ seq: number }>('DELETE FROM job WHERE person = ANY($1::text[]) RETURNING seq', [keys]);
  await tx.query('UPDATE lane SET queued = 0 WHERE person = ANY($1::text[])', [keys]);
  return rows.map(({ seq }) => seq);
}

async function append(tx: Transaction, installation: string, seq: number, name: string): Promise<void> {
  await tx.query(
    `INSERT INTO event (seq, installation, message_id, type, received_at, at, decision, payload)
     SELECT $1, $2, $3, 'erasure', ${nowMs}, ${nowMs}, 'null', '{"type":"erasure"}'`,
    [seq, installation, `erasure-${randomUUID()}`],
  );
  await tx.query('INSERT INTO job (seq, person) VALUES ($1, $2)', [seq, name]);
  await tx.query('UPDATE lane SET queued = queued + 1 WHERE person = $1', [name]);
}

/**
 * The record, and those of people who were joined and not yet made one with it, under the name of the erasure. Leases
 * under way are void: what they learn goes to these names, and the erasure waits for their end.
 */
async function moveRecords(
  tx: Transaction,
  { keys, into, lanes }: { keys: string[]; into: string; lanes: Map<string, Lane> },
): Promise<void> {
  const names = keys.map((_, n) => (n === 0 ? into : `${into}.${n}`));
  await tx.query(
    `UPDATE contact SET person = moved.name FROM unnest($1::text[], $2::text[]) AS moved (key, name)
     WHERE contact.person = moved.key`,
    [keys, names],
  );
  await tx.query('INSERT INTO joined (person, source) SELECT $1, unnest($2::text[])', [into, names.slice(1)]);
  const leased = keys.map((key, n) => ({ key, n })).filter(({ key }) => lanes.get(key)?.state === laneState.leased);
  for (const { key, n } of leased) {
    await tx.query(
      `UPDATE lane SET person = $2, state = ${laneState.void}, queued = 0, blockers = 0, "into" = $3, record = $4 WHERE person = $1`,
      [key, `${into}.void.${n}`, into, names[n]],
    );
  }
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
