import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { type Queue, type QueueStats, QueueUnavailable } from '../queue/queue.ts';
import type { ActivityOfAll, Counted } from './activity.ts';

const time = z.iso.datetime();
const count = z.int().min(0);

export const Hold = z
  .object({ reason: z.string(), message: z.string(), remedy: z.string(), since: time })
  .meta({ id: 'Hold', description: 'Why nothing is sent, since when, and what to do.' });

const OverviewMinute = z.object({
  at: time,
  accepted: count,
  delivered: count,
  filtered: count,
  dead: count,
  retried: count.meta({ description: 'Attempts that are made again.' }),
  calls: count.meta({ description: 'Calls of the Intercom API.' }),
});

const OverviewInstallation = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['active', 'paused', 'held', 'starting']),
  hold: Hold.nullable(),
  quota: z
    .object({
      limit: count.nullable().meta({ description: 'null until Intercom has told it.' }),
      used: count,
      windowEndsAt: time,
      waiting: count.meta({ description: 'Calls that wait for their turn.' }),
    })
    .meta({ description: "Of Intercom's current window of 10 seconds." }),
});

const OverviewReplica = z.object({
  id: z.string(),
  since: time,
  lastSeenAt: time.meta({ description: 'One that lives says so every 2 seconds.' }),
  version: z.string(),
  roles: z.array(z.string()),
  host: z.string(),
});

export const Overview = z
  .object({
    now: time,
    version: z.string(),
    ledger: z
      .object({ accepted: count, delivered: count, filtered: count, dead: count, queued: count })
      .meta({ description: 'Since the database was made: accepted = delivered + filtered + dead + queued.' }),
    backlog: z.object({
      queued: count,
      people: count,
      waiting: count.meta({ description: 'People who wait for a retry.' }),
      held: count.meta({ description: 'Anonymous visitors whose events wait for a login.' }),
      oldestReceivedAt: time.nullable(),
      callsPerSecond: z.number().meta({ description: 'Measured over the last half minute.' }),
      expectedEndAt: time
        .nullable()
        .meta({ description: 'As the last half minute went; null where the backlog does not shrink.' }),
    }),
    store: z.object({ ok: z.boolean(), reason: z.string().nullable() }).meta({
      description: 'Whether events can be kept. While they can not, ledger and backlog are as last read.',
    }),
    minutes: z.array(OverviewMinute).meta({
      description:
        'The last 60, oldest first, the running one last. Counted since the start of the process; with PostgreSQL by all replicas together.',
    }),
    saved: z
      .object({
        merged: count.meta({ description: "Events that became part of another event's call." }),
        unchanged: count.meta({ description: 'Events that told Intercom nothing new, and took no call.' }),
        knownIds: count.meta({ description: 'Writes to a known Intercom id, without a search for it.' }),
      })
      .meta({
        description:
          'Calls that were not needed, since the start of the process; with PostgreSQL since the database was made.',
      }),
    installations: z.array(OverviewInstallation),
    replicas: z.array(OverviewReplica).meta({
      description: 'Who shares the PostgreSQL database, as of the last minute; empty with SQLite.',
    }),
  })
  .meta({ id: 'Overview', description: 'How the service does, at one glance.' });

export type Overview = z.infer<typeof Overview>;

/** An installation as the overview shows it. */
export type InstallationView = Pick<z.infer<typeof OverviewInstallation>, 'id' | 'name' | 'status' | 'hold'> & {
  quota: { limit: number | null; used: number; waiting: number; windowEndsAtMs: number };
};

export type ReplicaView = Pick<z.infer<typeof OverviewReplica>, 'id' | 'version' | 'roles' | 'host'> & {
  sinceMs: number;
  seenAtMs: number;
};

export type OverviewOptions = {
  queue: Pick<Queue, 'stats' | 'health'>;
  activity: Counted;
  /** Where several share the work. */
  replicas?: { list(): Promise<ReplicaView[]>; activity: ActivityOfAll } | undefined;
  installations(): InstallationView[];
  version: string;
};

/** `GET /v1/admin/overview`: ledger, backlog, store, the last hour, what was saved, quotas and holds. */
export async function overviewRoute(app: FastifyInstance, options: OverviewOptions): Promise<void> {
  let stats: QueueStats = nothing;
  let replicas: ReplicaView[] = [];

  app.get('/v1/admin/overview', async (_, reply) => {
    const health = options.queue.health();
    stats = (await unlessAway(() => options.queue.stats())) ?? stats;
    const nowMs = Date.now();
    const { minutes, rates, saved } = await readActivity();
    replicas = (await unlessAway(() => options.replicas?.list())) ?? replicas;
    const { accepted, delivered, filtered, dead, queued, people, waiting, held } = stats;
    const overview: z.input<typeof Overview> = {
      now: iso(nowMs),
      version: options.version,
      ledger: { accepted, delivered, filtered, dead, queued },
      backlog: {
        queued,
        people,
        waiting,
        held,
        oldestReceivedAt: stats.oldestQueuedAtMs === null ? null : iso(stats.oldestQueuedAtMs),
        callsPerSecond: Math.round(rates.calls * 100) / 100,
        expectedEndAt: queued > 0 && rates.drained > 0 ? iso(nowMs + (queued / rates.drained) * 1000) : null,
      },
      store: health.ok ? { ok: true, reason: null } : { ok: false, reason: health.reason },
      minutes: minutes.map(({ atMs, ...counts }) => ({ at: iso(atMs), ...counts })),
      saved,
      installations: options.installations().map(toAnswer),
      replicas: replicas.map(({ sinceMs, seenAtMs, ...rest }) => ({
        ...rest,
        since: iso(sinceMs),
        lastSeenAt: iso(seenAtMs),
      })),
    };
    return reply.header('cache-control', 'no-store').send(overview);
  });

  async function readActivity(): ReturnType<ActivityOfAll['read']> {
    const { activity } = options;
    const ofAll = await unlessAway(() => options.replicas?.activity.read());
    return ofAll ?? { minutes: activity.minutes(), rates: activity.rates(), saved: activity.saved() };
  }
}

/** That the database is away is told as the store's health. */
async function unlessAway<T>(read: () => Promise<T> | undefined): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof QueueUnavailable) return undefined;
    throw error;
  }
}

function toAnswer({ quota, ...rest }: InstallationView): z.input<typeof OverviewInstallation> {
  const { limit, used, waiting, windowEndsAtMs } = quota;
  return {
    ...rest,
    quota: { limit, used, windowEndsAt: iso(windowEndsAtMs), waiting },
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

const nothing: QueueStats = {
  accepted: 0,
  delivered: 0,
  filtered: 0,
  dead: 0,
  queued: 0,
  people: 0,
  waiting: 0,
  leased: 0,
  held: 0,
  oldestQueuedAtMs: null,
};
