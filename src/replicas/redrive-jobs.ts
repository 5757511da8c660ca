import { z } from 'zod';
import type { RedriveJob, RedriveJobs } from '../console/redrives.ts';
import type { Database } from '../queue/postgres/database.ts';
import { nowMs } from '../queue/postgres/lanes.ts';
import type { Pulse } from './pulse.ts';

/**
 * Redrives of many, as rows: any replica tells of them and ends them, and where the one that goes on with a job is not
 * heard of any more, another takes it up after the last step that was noted down. The step in between is walked
 * again, which moves nothing twice; what it had moved is missing in `done`.
 */
export function openRedriveJobs({ db, id: replica, pulse, leaseMs }: RedriveJobsOptions): RedriveJobs {
  return {
    async add({ id, total, filter, upTo }) {
      await db.query('INSERT INTO redrive (id, filter, up_to, total) VALUES ($1, $2, $3, $4)', [
        id,
        JSON.stringify(filter),
        upTo,
        total,
      ]);
      await db.query(
        `DELETE FROM redrive WHERE status <> 'running'
           AND n <= (SELECT n FROM redrive ORDER BY n DESC OFFSET ${jobsKept} LIMIT 1)`,
      );
    },
    async find(id) {
      const [job] = await db.query<RedriveJob>('SELECT id, total, done, status FROM redrive WHERE id = $1', [id]);
      return job;
    },
    async cancel(id) {
      const [job] = await db.query<RedriveJob>(
        `UPDATE redrive SET status = CASE WHEN status = 'running' THEN 'cancelled' ELSE status END, filter = '{}'
         WHERE id = $1 RETURNING id, total, done, status`,
        [id],
      );
      return job;
    },
    async take() {
      const [row] = await db.query<{ id: string; filter: string; up_to: string; after: string | null }>(
        `UPDATE redrive SET holder = $1, held_until = ${nowMs} + $2
         WHERE id = (SELECT id FROM redrive WHERE status = 'running' AND (held_until < ${nowMs} OR holder = $1)
                     ORDER BY n LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING id, filter, up_to, after`,
        [replica, leaseMs],
      );
      return row
        ? { id: row.id, filter: Filter.parse(JSON.parse(row.filter)), upTo: row.up_to, after: row.after }
        : null;
    },
    async note(id, { redriven, next }) {
      const [row] = await db.query<{ goes_on: boolean }>(
        `UPDATE redrive SET done = done + $3, total = greatest(total, done + $3),
           after = CASE WHEN holder = $2 THEN $4 ELSE after END,
           held_until = CASE WHEN holder = $2 THEN ${nowMs} + $5 ELSE held_until END,
           status = CASE WHEN status = 'running' AND holder = $2 AND $4::text IS NULL THEN 'done' ELSE status END,
           filter = CASE WHEN holder = $2 AND $4::text IS NULL THEN '{}' ELSE filter END
         WHERE id = $1 RETURNING status = 'running' AND holder = $2 AS goes_on`,
        [id, replica, redriven, next, leaseMs],
      );
      return row?.goes_on ?? false;
    },
    async release() {
      await db.query('UPDATE redrive SET holder = NULL, held_until = 0 WHERE holder = $1', [replica]);
    },
    onWaiting(listen) {
      pulse.onLook(({ hasRedrive }) => {
        if (hasRedrive) listen();
      });
    },
  };
}

export type RedriveJobsOptions = { db: Database; id: string; pulse: Pulse; leaseMs: number };

const jobsKept = 100;

const text = z.string().optional();
const Filter = z.object({
  installation: text,
  status: z.literal('dead').optional(),
  type: text,
  name: text,
  userId: text,
  email: text,
  messageId: text,
  reason: text,
  receivedFromMs: z.number().optional(),
  receivedToMs: z.number().optional(),
  text,
});
