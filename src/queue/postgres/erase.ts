import { randomUUID } from 'node:crypto';
import { ownKeys } from './advisory.ts';
import { refreshBlockers } from './blockers.ts';
import type { Transaction } from './database.ts';
import { erasurePerson } from './erasure-walk.ts';
import { idOf } from '../event-id.ts';
import { forgetEvents } from './forget.ts';
import { type Lane, laneState, lockLanes, nowMs } from './lanes.ts';
import { count, installationOf, queuedIn } from './totals.ts';
import { aliasesOf, currentOf } from './whose.ts';

/**
 * Takes a person's keys, jobs and leases away, and leaves the job to erase it in Intercom; its id. The events of the
 * past are walked afterwards.
 */
export async function erasePerson(tx: Transaction, key: string, slot: number): Promise<string> {
  await tx.query(ownKeys);
  const person = (await currentOf(tx, [key]))(key);
  const installation = installationOf(person);
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
