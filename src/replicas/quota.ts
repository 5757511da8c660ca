import type { QuotaPool, QuotaShare } from '../intercom/quota-pool.ts';
import type { Database } from '../queue/postgres/database.ts';
import { ifReachable } from './reachable.ts';

/** The count of an installation's calls in PostgreSQL: a row, and one statement a grant. */
export function openPostgresQuota(db: Pick<Database, 'query'>, installation: string): QuotaPool {
  return {
    take: (ask) =>
      ifReachable(async () => {
        const { window, want, upTo, counted, pausedUntilMs, limitedWindow, nowMs } = ask;
        const values = [installation, window, counted, want, upTo, pausedUntilMs, limitedWindow, nowMs];
        for (;;) {
          const [share] = await db.query<QuotaShare>(takeCalls, values, answerMs);
          if (share) return share;
          await db.query(
            `INSERT INTO quota (installation) VALUES ($1) ON CONFLICT DO NOTHING`,
            [installation],
            answerMs,
          );
        }
      }),
  };
}

/** A grant that comes later is of little use. */
const answerMs = 2000;

/**
 * Who asks for the window before is behind, and gets nothing. A row that is further ahead than that was written by a
 * clock that was wrong, and must not keep everybody waiting until it is right.
 */
const isBehind = `"window" = $2::bigint + 1`;
const taken = `GREATEST($3::bigint, CASE WHEN "window" = $2::bigint THEN used ELSE 0 END)`;
const grant = `GREATEST(0, LEAST($4::bigint, $5::bigint - ${taken}))`;
const databaseNow = `(extract(epoch FROM clock_timestamp()) * 1000)::bigint`;
const ahead = `$8::bigint - ${databaseNow}`;
const takeCalls = `
UPDATE quota SET
  "window" = CASE WHEN ${isBehind} THEN "window" ELSE $2::bigint END,
  used = CASE WHEN ${isBehind} THEN used ELSE ${taken} + ${grant} END,
  granted = CASE WHEN ${isBehind} THEN 0 ELSE ${grant} END,
  ahead = CASE WHEN ${isBehind} OR "window" = $2::bigint THEN GREATEST(ahead, ${ahead}) ELSE ${ahead} END,
  paused_until = CASE WHEN "window" > $2::bigint + 1 THEN $6::bigint ELSE GREATEST(paused_until, $6::bigint) END,
  limited_window = CASE WHEN "window" > $2::bigint + 1 THEN $7::bigint ELSE GREATEST(limited_window, $7::bigint) END
WHERE installation = $1
RETURNING "window", used, granted, ${databaseNow} + ahead AS "nowMs", paused_until AS "pausedUntilMs", limited_window AS "limitedWindow"`;
