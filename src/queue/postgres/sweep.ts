import type { Transaction } from './database.ts';
import type { Step } from './retention.ts';

/**
 * Forgets rows of a table that has no index for their age, which would cost every write: goes through its pages, as
 * they lie on disk, a few at a time. A row that somebody works on is left for the next round.
 */
export function createSweep({ table, isOver }: { table: 'seen' | 'lane'; isOver: string }): Step {
  let page = 0;
  let nextAtMs = -Infinity;
  return {
    isDue: () => performance.now() >= nextAtMs,
    async run(tx: Transaction) {
      const [size] = await tx.query<{ pages: number }>(
        `SELECT pg_relation_size('${table}') / current_setting('block_size')::bigint AS pages`,
      );
      const below = page + pagesAStep;
      await tx.query(
        `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM ${table}
           WHERE ctid >= '(${page},0)'::tid AND ctid < '(${below},0)'::tid AND ${isOver} FOR UPDATE SKIP LOCKED))`,
      );
      const isEnd = below >= (size?.pages ?? 0);
      return () => {
        page = isEnd ? 0 : below;
        if (isEnd) nextAtMs = performance.now() + restsMs;
        return !isEnd;
      };
    },
  };
}

const pagesAStep = 128;
const restsMs = 600_000;
