import { hash } from 'node:crypto';
import type { Row, Table, Value } from './tables.ts';

/**
 * A table's content as a count and one number, the same whatever the order of its rows: the sum of 64 bits of each
 * row's SHA-256. A row is its columns one after the other, each with its length in bytes, so that no two rows are
 * written alike. Computed here of what was read, and by PostgreSQL of what it has.
 */
export type Checksum = { rows: number; sum: string };

export function createChecksum(columns: Table['columns']) {
  const names = Object.keys(columns);
  let rows = 0;
  let sum = 0n;
  return {
    add(row: Row): void {
      rows += 1;
      const text = names.map((name) => written(row[name] ?? null)).join('');
      sum += hash('sha256', text, 'buffer').readBigInt64BE(0);
    },
    value: (): Checksum => ({ rows, sum: String(sum) }),
  };
}

function written(value: Value): string {
  if (value === null) return '-';
  const text = Array.isArray(value) ? value.map(written).join('') : String(value);
  return `${Buffer.byteLength(text)}:${text}`;
}

/** The same of a table of PostgreSQL. */
export function checksumQuery({ name, columns }: Table): string {
  const parts = Object.entries(columns).map(([column, kind]) =>
    kind === 'texts'
      ? writtenBySql(
          `(SELECT coalesce(string_agg(${writtenBySql('item')}, '' ORDER BY o), '') FROM unnest("${column}") WITH ORDINALITY t (item, o))`,
        )
      : writtenBySql(`"${column}"::text`),
  );
  return `SELECT count(*)::int AS rows, coalesce(sum(('x' || encode(substring(sha256(convert_to(${parts.join(' || ')}, 'UTF8')) FROM 1 FOR 8), 'hex'))::bit(64)::bigint), 0)::text AS sum FROM "${name}"`;
}

const writtenBySql = (text: string): string => `coalesce(octet_length(${text}) || ':' || ${text}, '-')`;
