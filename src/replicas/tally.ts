import type { Database } from '../queue/postgres/database.ts';
import { repeat } from './repeat.ts';

/**
 * Counters that never fall, of all replicas together. What one has counted is added every few seconds; a commit whose
 * answer is lost may be added twice, and a crash may lose the last seconds.
 */
export type Tally = {
  count(name: string, n: number): void;
  /** With what this replica has counted until now. */
  read(): Promise<Map<string, number>>;
  close(): Promise<void>;
};

export function openTally({
  db,
  everyMs,
  onError,
}: {
  db: Database;
  everyMs: number;
  onError(error: unknown): void;
}): Tally {
  let counted = new Map<string, number>();
  let writing: Promise<void> | undefined;
  const writes = repeat(everyMs, write, onError);

  function write(): Promise<void> {
    writing ??= writeOnce().finally(() => {
      writing = undefined;
    });
    return writing;
  }

  async function writeOnce(): Promise<void> {
    if (counted.size === 0) return;
    const some = counted;
    counted = new Map();
    const rows = [...some].sort(([a], [b]) => (a < b ? -1 : 1)); // in one order, as all replicas lock them
    try {
      await db.query(
        `INSERT INTO tally AS t (name, n) SELECT * FROM unnest($1::text[], $2::bigint[])
         ON CONFLICT (name) DO UPDATE SET n = t.n + excluded.n`,
        [rows.map(([name]) => name), rows.map(([, n]) => n)],
      );
    } catch (error) {
      for (const [name, n] of some) count(name, n);
      throw error;
    }
  }

  function count(name: string, n: number): void {
    if (n > 0) counted.set(name, (counted.get(name) ?? 0) + n);
  }

  return {
    count,
    async read() {
      await write();
      const rows = await db.query<{ name: string; n: number }>('SELECT name, n FROM tally');
      return new Map(rows.map(({ name, n }) => [name, n]));
    },
    async close() {
      await writes.stop();
      await write().catch(onError);
    },
  };
}
