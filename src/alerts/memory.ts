import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import type { AlertsOptions, Standing, Waiting } from './alerts.ts';
import type { Snapshot } from './causes.ts';

const labels = {
  alert: z.enum(['hold', 'dead_letters', 'backlog', 'silence', 'store']),
  installation: z.string().nullable(),
  reason: z.string().nullable(),
};

const StandingAlerts = z.array(
  z.object({
    ...labels,
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

/** What a look goes on from: of the one before only what has grown since is asked for. */
export type Remembered = { before: Snapshot | undefined; pending: Waiting[]; firing: Standing[] };

const RememberedText = z.object({
  before: z
    .object({
      atMs: z.number(),
      installations: z.array(
        z.object({ id: z.string(), accepted: z.number().nullable(), dead: z.record(z.string(), z.number()) }),
      ),
    })
    .nullable(),
  pending: z.array(z.object({ ...labels, sinceMs: z.number(), events: z.number() })),
  firing: StandingAlerts,
});

export function writeRemembered({ before, pending, firing }: Remembered): string {
  const last = before && {
    atMs: before.atMs,
    installations: before.installations.map(({ id, flow, dead }) => ({
      id,
      accepted: flow?.accepted ?? null,
      dead: Object.fromEntries(dead),
    })),
  };
  const text: z.input<typeof RememberedText> = { before: last ?? null, pending, firing };
  return JSON.stringify(text);
}

/** Null is of a database whose alerts nobody has looked after yet; what another version kept may be unreadable. */
export function readRemembered(text: string | null): Remembered {
  const parsed = RememberedText.safeParse(text === null ? null : JSON.parse(text));
  if (!parsed.success) return { before: undefined, pending: [], firing: [] };
  const { before, pending, firing } = parsed.data;
  return { before: before === null ? undefined : snapshotOf(before), pending, firing };
}

function snapshotOf({ atMs, installations }: NonNullable<z.infer<typeof RememberedText>['before']>): Snapshot {
  return {
    atMs,
    store: { ok: true },
    installations: installations.map(({ id, accepted, dead }) => ({
      id,
      gate: { kind: 'unknown' },
      isPaused: false,
      flow: accepted === null ? null : { accepted, queued: 0, oldestQueuedAtMs: null },
      dead: new Map(Object.entries(dead)),
    })),
  };
}
