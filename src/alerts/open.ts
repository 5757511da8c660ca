import type { Logger } from 'pino';
import type { AlertSettings } from '../config.ts';
import { QueueUnavailable } from '../queue/queue.ts';
import { type AlertDuty, type Alerts, createAlerts, type Notice } from './alerts.ts';
import { findCauses, type InstallationSnapshot, type Snapshot } from './causes.ts';
import { fileMemory } from './memory.ts';
import { createWebhook } from './webhook.ts';

/** The alerts with all that they tell: the log, the webhook, the metrics. */
export type OpenAlerts = Pick<Alerts, 'start' | 'causes'> & {
  accepted(installation: string, events: number): void;
  /** Events have become dead letters. */
  died(installation: string, reason: string, events: number): void;
  stop(): Promise<void>;
};

export type OpenAlertsOptions = {
  settings: AlertSettings;
  /** Where what is firing is kept for the next start; null where it is shared, or there is no such place. */
  path: string | null;
  /** One replica looks for all; what each has counted is added up. */
  shared?: { duty: AlertDuty; tally: Counters } | undefined;
  log: Logger;
  look(): Promise<Omit<Snapshot, 'installations'> & { installations: Seen[] }>;
  explainDead(reason: string): { cause: string; remedy: string } | null;
  onWebhook(outcome: 'ok' | 'failed'): void;
  everyMs?: number;
};

type Seen = Omit<InstallationSnapshot, 'dead' | 'flow'> & {
  flow: Omit<NonNullable<InstallationSnapshot['flow']>, 'accepted'> | null;
};
type Counters = { count(name: string, n: number): void; read(): Promise<ReadonlyMap<string, number>> };

const graceMs = 2000;

export function openAlerts(options: OpenAlertsOptions): OpenAlerts {
  const { settings, path, shared, log, look, explainDead, onWebhook } = options;
  const counters = shared?.tally ?? countersInMemory();
  let counts: ReadonlyMap<string, number> = new Map();
  const webhook =
    settings.webhookUrl === null
      ? null
      : createWebhook({
          url: settings.webhookUrl,
          onResult(result) {
            onWebhook(result.ok ? 'ok' : 'failed');
            if (!result.ok) {
              const { alert, state } = result.notice;
              log.warn({ alert, state, reason: result.reason }, 'alert.not_sent: the receiver did not take it');
            }
          },
        });
  const alerts = createAlerts({
    async look() {
      const seen = await look();
      counts = await readCounts();
      return { ...seen, installations: seen.installations.map((one) => withCounts(one, counts)) };
    },
    find: (now, before) => findCauses(now, before, settings, explainDead),
    tell(notice) {
      write(log, notice);
      webhook?.send(notice);
    },
    memory: path === null ? { read: () => [], write: () => {} } : fileMemory(path),
    duty: shared?.duty,
    ...(options.everyMs !== undefined && { everyMs: options.everyMs }),
    onError: (error) => log.error({ err: error }, 'alert.look_failed'),
  });

  async function readCounts(): Promise<typeof counts> {
    try {
      return await counters.read();
    } catch (error) {
      if (error instanceof QueueUnavailable) return counts;
      throw error;
    }
  }

  return {
    start: alerts.start,
    causes: alerts.causes,
    accepted: (installation, events) => counters.count(`accepted/${installation}`, events),
    died: (installation, reason, events) => counters.count(`dead/${installation}/${reason}`, events),
    async stop() {
      alerts.stop();
      await shared?.duty.release().catch(() => undefined); // then the next one waits until the lease is over
      await webhook?.close(graceMs);
    },
  };
}

function withCounts({ flow, ...rest }: Seen, counts: ReadonlyMap<string, number>): InstallationSnapshot {
  const prefix = `dead/${rest.id}/`;
  const dead = [...counts].filter(([name]) => name.startsWith(prefix));
  return {
    ...rest,
    flow: flow && { ...flow, accepted: counts.get(`accepted/${rest.id}`) ?? 0 },
    dead: new Map(dead.map(([name, n]) => [name.slice(prefix.length), n])),
  };
}

function countersInMemory(): Counters {
  const counts = new Map<string, number>();
  return {
    count: (name, n) => void counts.set(name, (counts.get(name) ?? 0) + n),
    read: async () => counts,
  };
}

function write(log: Logger, { alert, state, installation, reason, message, remedy, sinceMs, events }: Notice): void {
  const since = new Date(sinceMs).toISOString();
  const line = { alert, installation, reason, message, remedy, since, ...(events > 0 && { events }) };
  if (state === 'firing') log.error(line, 'alert.firing');
  else log.info(line, 'alert.resolved');
}
