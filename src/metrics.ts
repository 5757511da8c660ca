import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** The Prometheus metrics; each name and label is documented in docs/operations.md. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(read: () => Promise<Readings>) {
  const registry = new Registry();
  const registers = [registry];
  const ingest = new Counter({
    name: 'signal_intercom_ingest_events_total',
    help: 'Events that came to /ingest, by what was answered',
    labelNames: ['status', 'reason'],
    registers,
  });
  const attempts = new Counter({
    name: 'signal_intercom_attempts_total',
    help: 'Delivery attempts, by event type, outcome and reason',
    labelNames: ['type', 'outcome', 'reason'],
    registers,
  });
  const calls = new Counter({
    name: 'signal_intercom_intercom_calls_total',
    help: 'Calls of the Intercom API, by status (none: no answer)',
    labelNames: ['status'],
    registers,
  });
  const attemptSeconds = new Histogram({
    name: 'signal_intercom_attempt_seconds',
    help: 'Duration of a delivery attempt, with its waiting for quota',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const delaySeconds = new Histogram({
    name: 'signal_intercom_delivery_delay_seconds',
    help: 'From the receipt of an event to its delivery',
    buckets: [0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 3600, 21_600, 86_400],
    registers,
  });
  const ledger = new Gauge({
    name: 'signal_intercom_ledger_events',
    help: 'The ledger since the database was made: accepted = delivered + filtered + dead + queued',
    labelNames: ['state'],
    registers,
  });
  const people = new Gauge({
    name: 'signal_intercom_people',
    help: 'People with queued events, by what they wait for',
    labelNames: ['state'],
    registers,
  });
  const oldest = new Gauge({
    name: 'signal_intercom_oldest_queued_seconds',
    help: 'Age of the oldest queued event; 0 when none is queued',
    registers,
  });
  const held = new Gauge({
    name: 'signal_intercom_held',
    help: '1 while an installation is on hold, by reason',
    labelNames: ['installation', 'reason'],
    registers,
  });
  const quota = new Gauge({
    name: 'signal_intercom_quota_calls',
    help: "Intercom's limit of the current 10-second window, and what is used of it",
    labelNames: ['installation', 'kind'],
    registers,
  });

  const alertFiring = new Gauge({
    name: 'signal_intercom_alert_firing',
    help: '1 while the alert fires, 0 once it is resolved',
    labelNames: ['alert', 'installation', 'reason'],
    registers,
  });
  const alertWebhook = new Counter({
    name: 'signal_intercom_alert_webhook_total',
    help: 'Alerts brought to ALERT_WEBHOOK_URL, by outcome',
    labelNames: ['outcome'],
    registers,
  });

  /** Gauges are read when somebody asks, so that they are never older than the scrape. */
  async function render(): Promise<string> {
    const { stats, installations, alerts, nowMs } = await read();
    if (stats) {
      for (const state of ['accepted', 'delivered', 'filtered', 'dead', 'queued'] as const)
        ledger.set({ state }, stats[state]);
      people.set({ state: 'in_flight' }, stats.leased);
      people.set({ state: 'waiting_for_retry' }, stats.waiting);
      people.set({ state: 'any' }, stats.people);
      oldest.set(stats.oldestQueuedAtMs === null ? 0 : Math.max(0, (nowMs - stats.oldestQueuedAtMs) / 1000));
    }
    held.reset();
    quota.reset();
    for (const { id: installation, hold, quota: window } of installations) {
      if (hold !== null) held.set({ installation, reason: hold }, 1);
      if (window.limit !== null) quota.set({ installation, kind: 'limit' }, window.limit);
      quota.set({ installation, kind: 'used' }, window.used);
    }
    alertFiring.reset();
    for (const { alert, installation, reason, isFiring } of alerts)
      alertFiring.set({ alert, installation: installation ?? '', reason: reason ?? '' }, Number(isFiring));
    return registry.metrics();
  }

  return {
    ingest,
    attempts,
    calls,
    attemptSeconds,
    delaySeconds,
    alertWebhook,
    render,
    contentType: registry.contentType,
  };
}

export type Readings = {
  stats: {
    accepted: number;
    delivered: number;
    filtered: number;
    dead: number;
    queued: number;
    people: number;
    waiting: number;
    leased: number;
    oldestQueuedAtMs: number | null;
  } | null;
  installations: { id: string; hold: string | null; quota: { limit: number | null; used: number } }[];
  alerts: { alert: string; installation: string | null; reason: string | null; isFiring: boolean }[];
  nowMs: number;
};
