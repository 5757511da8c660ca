import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { QueueStats } from './queue/queue.ts';

/** The Prometheus metrics; each name and label is documented in docs/operations.md. */
export type Metrics = ReturnType<typeof createMetrics>;

export function createMetrics(version: string, read: () => Promise<Readings>) {
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
    labelNames: ['installation', 'type', 'outcome', 'reason'],
    registers,
  });
  const settled = new Counter({
    name: 'signal_intercom_settled_events_total',
    help: 'Events that left the queue, by how',
    labelNames: ['installation', 'status', 'reason'],
    registers,
  });
  const calls = new Counter({
    name: 'signal_intercom_intercom_calls_total',
    help: 'Calls of the Intercom API, by status (none: no answer)',
    labelNames: ['installation', 'status'],
    registers,
  });
  const attemptSeconds = new Histogram({
    name: 'signal_intercom_attempt_duration_seconds',
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
  const accepted = new Counter({
    name: 'signal_intercom_accepted_events_total',
    help: 'Events accepted since the database was made',
    registers,
  });
  const ledger = new Gauge({
    name: 'signal_intercom_ledger_events',
    help: 'Where the accepted events are: the states add up to signal_intercom_accepted_events_total',
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
    name: 'signal_intercom_oldest_queued_age_seconds',
    help: 'Age of the oldest queued event that waits for no login; 0 when there is none',
    registers,
  });
  const store = new Gauge({
    name: 'signal_intercom_store_available',
    help: '1 while events can be stored, else 0',
    registers,
  });
  const held = new Gauge({
    name: 'signal_intercom_installation_held',
    help: '1 while an installation is on hold, by reason; 0 and no reason while it is not',
    labelNames: ['installation', 'reason'],
    registers,
  });
  const quotaLimit = new Gauge({
    name: 'signal_intercom_quota_limit_calls',
    help: "Intercom's limit of a 10-second window",
    labelNames: ['installation'],
    registers,
  });
  const quotaUsed = new Gauge({
    name: 'signal_intercom_quota_used_calls',
    help: 'What is used of the current window',
    labelNames: ['installation'],
    registers,
  });
  const quotaWaiting = new Gauge({
    name: 'signal_intercom_quota_waiting_calls',
    help: 'Calls that wait for their turn',
    labelNames: ['installation'],
    registers,
  });
  const alertFiring = new Gauge({
    name: 'signal_intercom_alert_firing',
    help: '1 while the alert fires, 0 once it is resolved',
    labelNames: ['alert', 'installation', 'reason'],
    registers,
  });
  const alertNotifications = new Counter({
    name: 'signal_intercom_alert_notifications_total',
    help: 'Alerts brought to ALERT_WEBHOOK_URL, by outcome',
    labelNames: ['outcome'],
    registers,
  });
  // A series that begins with its first failure shows no increase.
  for (const outcome of ['ok', 'failed']) alertNotifications.inc({ outcome }, 0);
  new Gauge({
    name: 'signal_intercom_build_info',
    help: 'The version that runs',
    labelNames: ['version'],
    registers,
  }).set({ version }, 1);
  const resident = new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process',
    registers,
  });
  const cpu = new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system time of the process',
    registers,
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'When the process began, Unix time',
    registers,
  }).set(Math.round(performance.timeOrigin / 1000));

  /** Gauges are read when somebody asks, so that they are never older than the scrape. */
  async function render(): Promise<string> {
    const { stats, isStoreAvailable, installations, alerts, nowMs } = await read();
    store.set(Number(isStoreAvailable));
    if (stats) {
      accepted.reset();
      accepted.inc(stats.accepted);
      for (const state of ['delivered', 'filtered', 'dead', 'queued'] as const) ledger.set({ state }, stats[state]);
      const { leased, waiting, held: visitors } = stats;
      people.set({ state: 'in_flight' }, leased);
      people.set({ state: 'waiting_for_retry' }, waiting);
      people.set({ state: 'waiting_for_login' }, visitors);
      people.set({ state: 'waiting_for_turn' }, Math.max(0, stats.people - leased - waiting - visitors));
      oldest.set(stats.oldestQueuedAtMs === null ? 0 : Math.max(0, (nowMs - stats.oldestQueuedAtMs) / 1000));
    }
    for (const gauge of [held, quotaLimit, quotaUsed, quotaWaiting, alertFiring]) gauge.reset();
    for (const { id: installation, hold, quota } of installations) {
      held.set({ installation, reason: hold ?? '' }, Number(hold !== null));
      if (quota.limit !== null && Number.isFinite(quota.limit)) quotaLimit.set({ installation }, quota.limit);
      quotaUsed.set({ installation }, quota.used);
      quotaWaiting.set({ installation }, quota.waiting);
    }
    for (const { alert, installation, reason, isFiring } of alerts)
      alertFiring.set({ alert, installation: installation ?? '', reason: reason ?? '' }, Number(isFiring));
    const { user, system } = process.cpuUsage();
    cpu.reset();
    cpu.inc((user + system) / 1e6);
    resident.set(process.memoryUsage.rss());
    return registry.metrics();
  }

  /** Once per request and kind of answer: a counter that is told of each event would cost more than its answer. */
  function answered(events: Answered[]): void {
    const counts = new Map<string, { status: string; reason: string; n: number }>();
    for (const event of events) {
      const { status } = event;
      const reason = event.error?.code ?? event.reason ?? '';
      const key = `${status} ${reason}`;
      const known = counts.get(key);
      if (known) known.n += 1;
      else counts.set(key, { status, reason, n: 1 });
    }
    for (const { status, reason, n } of counts.values()) ingest.inc({ status, reason }, n);
  }

  return {
    answered,
    attempts,
    settled,
    calls,
    attemptSeconds,
    delaySeconds,
    alertNotifications,
    render,
    contentType: registry.contentType,
  };
}

export type Answered = {
  status: string;
  reason?: string | undefined;
  error?: { code: string } | undefined;
};

export type Readings = {
  /** Null while the store can't tell. */
  stats: QueueStats | null;
  isStoreAvailable: boolean;
  installations: { id: string; hold: string | null; quota: { limit: number | null; used: number; waiting: number } }[];
  alerts: { alert: string; installation: string | null; reason: string | null; isFiring: boolean }[];
  nowMs: number;
};
