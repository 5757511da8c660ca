import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { createTurns } from '../turns.ts';
import type { Database } from './database.ts';
import { nowMs } from './lanes.ts';

/** A turn whose holder is gone ends by itself after this. */
const turnMs = 15_000;
const renewMs = 5000;
const askAgainMs = 50;

/** Turns over all replicas: within this one by memory, then by a row that its holder renews. */
export function createSharedTurns(db: Database): (key: string) => Promise<() => Promise<void>> {
  const own = createTurns();

  async function take(key: string, token: string): Promise<boolean> {
    const taken = await db.query(
      `INSERT INTO turn AS t (key, token, until) VALUES ($1, $2, ${nowMs} + $3)
       ON CONFLICT (key) DO UPDATE SET token = excluded.token, until = excluded.until
       WHERE t.until < ${nowMs} OR t.token = excluded.token RETURNING 1`,
      [key, token, turnMs],
    );
    return taken.length > 0;
  }

  return async (key) => {
    const end = await own(key);
    const token = randomUUID();
    try {
      while (!(await take(key, token))) await delay(askAgainMs);
    } catch (error) {
      end();
      throw error;
    }
    const timer = setInterval(() => void take(key, token).catch(() => {}), renewMs);
    return async () => {
      clearInterval(timer);
      try {
        await db.query('DELETE FROM turn WHERE key = $1 AND token = $2', [key, token]);
      } catch {
        // It ends by itself.
      } finally {
        end();
      }
    };
  };
}
