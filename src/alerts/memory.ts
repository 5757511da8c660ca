import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { AlertsOptions, Standing } from './alerts.ts';

const StandingAlerts = z.array(
  z.object({
    alert: z.enum(['hold', 'dead_letters', 'backlog', 'silence', 'store']),
    installation: z.string().nullable(),
    reason: z.string().nullable(),
    message: z.string(),
    remedy: z.string(),
    afterMs: z.number(),
    lingerMs: z.number(),
    events: z.number(),
    sinceMs: z.number(),
    seenAtMs: z.number(),
    toldAtMs: z.number(),
  }),
) satisfies z.ZodType<Standing[]>;

/**
 * What is firing, in a small file beside the database. It is worth an attempt and no more: where the disk is full,
 * which is what the alert may be about, the next process tells of it a second time.
 */
export function fileMemory(path: string): AlertsOptions['memory'] {
  return {
    read() {
      try {
        return StandingAlerts.parse(JSON.parse(readFileSync(path, 'utf8')));
      } catch {
        return [];
      }
    },
    write(standing) {
      try {
        writeFileSync(`${path}.new`, JSON.stringify(standing), { mode: 0o600 });
        renameSync(`${path}.new`, path);
      } catch {
        // see above
      }
    },
  };
}
