import type { Database } from './database.ts';
import { nowMs } from './lanes.ts';

/** The database's clock, by which everybody waits. */
export type Clock = {
  /**
   * Whether it was set back (or a standby whose clock is behind has taken over): then nobody waits until that time comes
   * again. Resolves with how many ms it was set back by, at the least; 0 if it was not.
   */
  look(): Promise<number>;
};

/** A little is slewed by every time service, and shorter than the waits that it would lengthen. */
const littleMs = 2000;
const noteEveryMs = 2000;
const peopleAtATime = 2000;
/** The longest of the leases that are not of people. */
const othersLeaseMs = 15_000;

export function createClock(db: Database, leaseMs: number): Clock {
  /** Whoever waits is due in the same order; leases that nobody renews end as soon as ever. The last person of them. */
  async function mendSome(after: string, backMs: number): Promise<string | null> {
    return db.transaction(async (tx) => {
      const late = await tx.query<{ person: string }>(
        `SELECT person FROM lane WHERE person > $1 AND (queued > 0 OR token IS NOT NULL) AND due_at > ${nowMs}
         ORDER BY person COLLATE "C" LIMIT ${peopleAtATime} FOR UPDATE`,
        [after],
      );
      if (late.length === 0) return null;
      const people = late.map(({ person }) => person);
      await tx.query(`UPDATE job SET due_at = ${nowMs} WHERE person = ANY($1::text[]) AND due_at > ${nowMs}`, [people]);
      await tx.query(
        `UPDATE lane SET due_at = CASE WHEN token IS NULL THEN least(${nowMs}, due_at - $2) ELSE least(${nowMs} + $3, due_at) END
         WHERE person = ANY($1::text[])`,
        [people, backMs, leaseMs],
      );
      return people.at(-1)!;
    });
  }

  async function mend(backMs: number): Promise<void> {
    const end = `${nowMs} + ${othersLeaseMs}`;
    await db.query(`UPDATE turn SET until = ${end} WHERE until > ${end}`);
    await db.query(`UPDATE duty SET held_until = ${end} WHERE held_until > ${end}`);
    await db.query(`UPDATE redrive SET held_until = ${end} WHERE held_until > ${end}`);
    await db.query(`DELETE FROM replica WHERE seen_at > ${nowMs}`); // those who live tell it again
    for (let last: string | null = ''; last !== null;) last = await mendSome(last, backMs);
  }

  return {
    async look() {
      const [row] = await db.query<{ reached: number | null; now: number }>(
        `SELECT (SELECT reached FROM clock) AS reached, ${nowMs} AS now`,
      );
      const { reached, now } = row!;
      const backMs = (reached ?? now) - now;
      if (backMs > littleMs) {
        await mend(backMs);
        // Who finds it at the same time does the same, in vain.
        await db.query('UPDATE clock SET reached = $2 WHERE reached = $1', [reached, now]);
        return backMs;
      }
      if (reached === null || -backMs > noteEveryMs)
        await db.query(
          `INSERT INTO clock AS c (reached) VALUES ($1)
           ON CONFLICT (one) DO UPDATE SET reached = excluded.reached WHERE c.reached < excluded.reached`,
          [now],
        );
      return 0;
    },
  };
}
