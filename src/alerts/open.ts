import type { Logger } from 'pino';
import type { AlertSettings } from '../config.ts';
import { type Alerts, createAlerts, type Notice } from './alerts.ts';
import { findCauses, type InstallationSnapshot, type Snapshot } from './causes.ts';
import { fileMemory } from './memory.ts';
import { createWebhook } from './webhook.ts';

/** The alerts with all that they tell: the log, the webhook, the metrics. */
export type OpenAlerts = Pick<Alerts, 'start' | 'causes'> & {
  /** Events have become dead letters. */
  died(installation: string, reason: string, events: number): void;
  stop(): Promise<void>;
};

export type OpenAlertsOptions = {
  settings: AlertSettings;
  /** Where what is firing is kept for the next start; null where there is no such place. */
  path: string | null;
  log: Logger;
  look(): Promise<Omit<Snapshot, 'installations'> & { installations: Omit<InstallationSnapshot, 'dead'>[] }>;
  explainDead(reason: string): { cause: string; remedy: string } | null;
  onWebhook(outcome: 'ok' | 'failed'): void;
};

const graceMs = 2000;

export function openAlerts({ settings, path, log, look, explainDead, onWebhook }: OpenAlertsOptions): OpenAlerts {
  const dead = new Map<string, Map<string, number>>();
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
      return {
        ...seen,
        installations: seen.installations.map((one) => ({ ...one, dead: new Map(dead.get(one.id)) })),
      };
    },
    find: (now, before) => findCauses(now, before, settings, explainDead),
    tell(notice) {
      write(log, notice);
      webhook?.send(notice);
    },
    memory: path === null ? { read: () => [], write: () => {} } : fileMemory(path),
    onError: (error) => log.error({ err: error }, 'alert.look_failed'),
  });

  return {
    start: alerts.start,
    causes: alerts.causes,
    died(installation, reason, events) {
      const reasons = dead.get(installation) ?? new Map<string, number>();
      dead.set(installation, reasons.set(reason, (reasons.get(reason) ?? 0) + events));
    },
    async stop() {
      alerts.stop();
      await webhook?.close(graceMs);
    },
  };
}

function write(log: Logger, { alert, state, installation, reason, message, remedy, sinceMs, events }: Notice): void {
  const since = new Date(sinceMs).toISOString();
  const line = { alert, installation, reason, message, remedy, since, ...(events > 0 && { events }) };
  if (state === 'firing') log.error(line, 'alert.firing');
  else log.info(line, 'alert.resolved');
}
