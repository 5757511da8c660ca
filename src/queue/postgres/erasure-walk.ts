import type { Database, Transaction } from './database.ts';
import { createParams, eventsBetween, ofPeople } from './conditions.ts';
import { idOf } from '../event-id.ts';
import { forgetEvents } from './forget.ts';
import { installationOf } from './totals.ts';

/**
 * Through the events of the past of erased people, one bounded step of the oldest erasure after the other; true when
 * more is to be done. `skip`: unless another replica is at it.
 */
export type ErasureWalk = (whenTaken: 'wait' | 'skip') => Promise<boolean>;

const seqsAStep = 20_000;
const deletionsAStep = 500;

type Walking = { seq: number; from: number; keys: string[]; devices: string[] };

export function createErasureWalk(db: Database): ErasureWalk {
  return async (whenTaken) => {
    const [some] = await db.query('SELECT 1 FROM erasure LIMIT 1');
    if (!some) return false;
    return db.transaction(async (tx) => {
      const [next] = await tx.query<Walking>(
        `SELECT seq, greatest(walked, (SELECT min(event.seq) - 1 FROM event)) AS from, keys, devices FROM erasure
         WHERE walked < seq - 1 ORDER BY seq LIMIT 1 FOR UPDATE ${whenTaken === 'skip' ? 'SKIP LOCKED' : ''}`,
      );
      if (next) await walk(tx, next);
      await endErasures(tx);
      return next !== undefined;
    });
  };
}

/**
 * A device that was seen with the person has been nobody's before: what it left then goes as well, in a second walk.
 * Another user of the same device keeps what carries that user's own id.
 */
async function walk(tx: Transaction, { seq, from, keys, devices }: Walking): Promise<void> {
  const farthest = Math.min(from + seqsAStep, seq - 1);
  const params = createParams();
  const between = eventsBetween(params.at(from + 1), params.at(farthest + 1));
  const rows = await tx.query<{ seq: number; device: string | null }>(
    `SELECT event.seq, anonymous_id AS device FROM ${between} AND job.seq IS NULL
     AND ${ofPeople(`${params.at(keys)}::text[]`)} ORDER BY event.seq LIMIT ${deletionsAStep}`,
    params.values,
  );
  const to = rows.length < deletionsAStep ? farthest : (rows.at(-1)?.seq ?? farthest);
  await forgetEvents(
    tx,
    rows.map((row) => row.seq),
  );
  const installation = installationOf(keys[0] ?? '');
  const found = rows.flatMap(({ device }) => (device === null ? [] : [`${installation}/anon:${device}`]));
  const all = [...new Set([...devices, ...found])];
  const unknown = all.filter((device) => !keys.includes(device));
  const isRepeated = to >= seq - 1 && unknown.length > 0;
  await tx.query('UPDATE erasure SET walked = $2, keys = $3, devices = $4 WHERE seq = $1', [
    seq,
    isRepeated ? 0 : Math.max(to, from),
    isRepeated ? [...keys, ...unknown] : keys,
    all,
  ]);
}

/** Forgets erasures that have come to their end, here and in Intercom. */
export async function endErasures(tx: Transaction): Promise<void> {
  const rows = await tx.query<{ seq: number; keys: string[] }>(
    `DELETE FROM erasure WHERE seq IN (
       SELECT erasure.seq FROM erasure LEFT JOIN settled ON settled.seq = erasure.seq LEFT JOIN event ON event.seq = erasure.seq
       WHERE walked >= erasure.seq - 1 AND (settled.status IN ('delivered', 'filtered') OR event.seq IS NULL)
       FOR UPDATE OF erasure SKIP LOCKED)
     RETURNING seq, keys`,
  );
  for (const row of rows) await forgetRecords(tx, row);
}

/** The contact records that an erasure needs to find its person. */
export async function forgetRecords(tx: Transaction, { seq, keys }: { seq: number; keys: string[] }): Promise<void> {
  const name = erasurePerson(installationOf(keys[0] ?? ''), seq);
  await tx.query('DELETE FROM contact WHERE person = $1 OR person IN (SELECT source FROM joined WHERE person = $1)', [
    name,
  ]);
  await tx.query('DELETE FROM joined WHERE person = $1', [name]);
}

export const erasurePerson = (installation: string, seq: number): string => `${installation}/erasure:${idOf(seq)}`;
