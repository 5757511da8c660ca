import type { Erasure } from '../queue.ts';
import { idOf, seqOf } from '../event-id.ts';
import { own, type Reader } from './whose.ts';

/**
 * An erased person goes on under a name of its own, `<installation>/erasure:<event id>`, with the record that is needed
 * to find it in Intercom. Whoever comes under the old keys is somebody new, and waits until the old one is gone there:
 * both would be the same contact.
 */
export const erasurePerson = (installation: string, seq: number): string => `${installation}/erasure:${idOf(seq)}`;

const prefix = 'erasure:';

/** What is to be erased in Intercom, of those of these people that are an erasure. */
export async function erasureOf(tx: Reader, people: string[]): Promise<Map<string, Erasure>> {
  const erased = people.flatMap((person) => {
    const seq = own(person).startsWith(prefix) ? seqOf(own(person).slice(prefix.length)) : Number.NaN;
    return Number.isSafeInteger(seq) ? [{ person, seq }] : [];
  });
  if (erased.length === 0) return new Map();
  const rows = await tx.query<{ seq: number; keys: string[] }>(
    'SELECT seq, keys FROM erasure WHERE seq = ANY($1::bigint[])',
    [erased.map(({ seq }) => seq)],
  );
  const keysOf = new Map(rows.map(({ seq, keys }) => [seq, keys]));
  return new Map(
    erased.flatMap(({ person, seq }) => {
      const keys = keysOf.get(seq);
      return keys ? [[person, describe(seq, keys)]] : [];
    }),
  );
}

function describe(seq: number, keys: string[]): Erasure {
  const values = (kind: string): string[] =>
    keys.map(own).flatMap((key) => (key.startsWith(kind) ? [key.slice(kind.length)] : []));
  return { id: idOf(seq), userId: values('user:')[0] ?? null, emails: values('email:') };
}
