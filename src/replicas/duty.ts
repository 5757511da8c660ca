import type { Database } from '../queue/postgres/database.ts';
import { nowMs } from '../queue/postgres/lanes.ts';

/** Work that one replica does for all, as long as it is heard of; the next one goes on from what was kept. */
export type Duty = {
  /** Takes it, or goes on holding it; null while another one does. `isNew`: from now on, with what was kept last. */
  hold(): Promise<{ isNew: boolean; state: string | null } | null>;
  /** False once another one holds it: then nothing is kept. */
  keep(state: string): Promise<boolean>;
  /** Leaves it to the others. */
  release(): Promise<void>;
};

export function openDuty({ db, id, name, leaseMs }: { db: Database; id: string; name: string; leaseMs: number }): Duty {
  return {
    async hold() {
      await db.query('INSERT INTO duty (name) VALUES ($1) ON CONFLICT DO NOTHING', [name]);
      const [row] = await db.query<{ before: string | null; state: string | null }>(
        `UPDATE duty SET holder = $2, held_until = ${nowMs} + $3
         FROM (SELECT holder AS before FROM duty WHERE name = $1 FOR UPDATE) old
         WHERE name = $1 AND (holder = $2 OR held_until < ${nowMs}) RETURNING old.before, state`,
        [name, id, leaseMs],
      );
      return row ? { isNew: row.before !== id, state: row.state } : null;
    },
    async keep(state) {
      const rows = await db.query('UPDATE duty SET state = $3 WHERE name = $1 AND holder = $2 RETURNING 1', [
        name,
        id,
        state,
      ]);
      return rows.length > 0;
    },
    async release() {
      await db.query('UPDATE duty SET holder = NULL, held_until = 0 WHERE name = $1 AND holder = $2', [name, id]);
    },
  };
}
