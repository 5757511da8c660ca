import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { gateSnapshot } from './alerts/gate-snapshot.ts';
import { openAlerts } from './alerts/open.ts';
import { createAttemptRecorder } from './attempts.ts';
import type { Config } from './config.ts';
import { pathBeside } from './config/database.ts';
import { apiUrlOf, regionHosts } from './config/regions.ts';
import { createActivity } from './console/activity.ts';
import { loadAdminToken } from './console/admin-token.ts';
import { createLive } from './console/live.ts';
import { explain } from './console/reasons.ts';
import { createRedrives } from './console/redrives.ts';
import { consoleRoutes } from './console/routes.ts';
import { openDelivery, tryOut } from './delivery.ts';
import { createSettlements } from './dispatch/settlements.ts';
import { healthRoutes } from './health.ts';
import { createHttp } from './http.ts';
import { createAdmission } from './ingest/admission.ts';
import type { AcceptOptions } from './ingest/accept.ts';
import { createAuthenticator } from './ingest/auth.ts';
import { createConsentPolicy } from './ingest/consent-policy.ts';
import { ingestRoutes } from './ingest/route.ts';
import { holdOf } from './installations/answers.ts';
import { openInstallations } from './installations/registry.ts';
import { loadVault } from './installations/vault.ts';
import { noRules, ruleFor } from './intercom/mapping-rules.ts';
import { createListeners } from './listeners.ts';
import { createMetrics } from './metrics.ts';
import { openQueue } from './queue/open.ts';
import { joinReplicas } from './replicas/open.ts';
import type { QueueStats } from './queue/queue.ts';
import { openTracing } from './tracing/open.ts';
import { readVersion } from './version.ts';

/** The whole service as a value: everything is opened, connected and registered here, and closed in reverse. */
export type App = {
  http: FastifyInstance;
  /** Opens the admin port, where one is configured, once `http` listens; its address. */
  listenAdmin(): Promise<string | null>;
  /** Stops accepting, lets what is in flight end within `graceMs`, closes the queue. May be called twice. */
  stop(graceMs: number): Promise<void>;
};

export async function buildApp(config: Config, log: Logger): Promise<App> {
  const { roles } = config;
  const beside = pathBeside(config);
  const queue = await openQueue(config, {
    onHealth: (health) => {
      if (!health.ok) log.error({ reason: health.reason }, 'queue.unavailable');
    },
    onClockSetBack: (ms) =>
      log.warn({ ms }, 'database.clock_set_back: by the clock of the database time went back; nobody waits for it'),
    onMigrated: (version) => log.info({ version }, 'database.migrated'),
    onSalvage: (told) =>
      log.error(
        told,
        'queue.salvaged: the database was damaged; it lies aside, and what could be read is in a new one',
      ),
  });
  const version = readVersion();
  const replicas = await joinReplicas(config, { version, log });
  const settlements = createSettlements({
    look: async (ids) => (replicas?.hasOthers() ? queue.states(ids) : new Map()),
  });
  const live = createLive({ queue, shared: replicas?.changes });
  const activity = createActivity();
  const ofAll = replicas ? { list: replicas.list, activity: replicas.shareActivity(activity) } : undefined;
  const redrives = createRedrives({ queue, live, jobs: replicas?.redrives });
  const consent = createConsentPolicy({
    category: config.consentCategory,
    marketingEvents: config.marketingEvents,
    whenAbsent: config.consentWhenAbsent,
    hasRules: config.mappingRules !== noRules,
    ruleCategory: (event) => ruleFor(config.mappingRules, event)?.consent,
  });
  const tracing = await openTracing(process.env, version, log);
  const metrics = createMetrics(version, async () => ({
    stats: queue.health().ok ? await queue.stats() : null,
    isStoreAvailable: storeHealth().ok,
    installations: installations.list().map(({ id, settings, delivery }) => ({
      id,
      hold: holdOf(settings.enabled, delivery.gate())?.reason ?? null,
      quota: delivery.quota(),
    })),
    alerts: alerts.causes(),
    nowMs: Date.now(),
  }));
  const alerts = openAlerts({
    settings: config.alerts,
    path: beside === null ? null : `${beside}.alerts`,
    shared: replicas?.alerts,
    log,
    async look() {
      const found = installations.list().map(async ({ id, settings, delivery }) => ({
        id,
        gate: gateSnapshot(delivery.gate()),
        isPaused: !settings.enabled,
        flow: await flowOf(id),
      }));
      return { atMs: Date.now(), installations: await Promise.all(found), store: storeHealth() };
    },
    explainDead: explain,
    onWebhook: (outcome) => metrics.alertNotifications.inc({ outcome }),
  });
  const recordAttempt = createAttemptRecorder({
    log,
    metrics,
    activity,
    alerts,
    settlements,
    traced: (report) =>
      tracing?.attempted(
        report,
        apiUrlOf(config, installations.get(report.lease.installation)?.settings.region ?? null),
      ),
  });
  const installations = await openInstallations({
    queue,
    vault: loadVault(config.encryptionKeys, beside),
    environment: config.intercom,
    shared: replicas?.installations,
    urlOf: (region) => apiUrlOf(config, region),
    tryOut: (target) => tryOut(target, config.intercomVersion, regionHosts(config)),
    open: (id, target, isPaused) =>
      openDelivery({
        installation: id,
        target,
        isPaused,
        sends: roles.dispatch,
        shared: replicas?.delivery(id),
        config,
        queue,
        log,
        mayStillSend: (newest) => (event, job) =>
          consent.mayStillSend(event, Math.min(job.atMs, job.receivedAtMs), newest),
        onSettled: (states) => {
          settlements.announce(states);
          live.changed(states);
        },
        onAttempt: recordAttempt,
        onPostponed: (event) => live.changed([{ id: event, status: 'queued', reason: null }]),
      }),
  });
  queue.onDue(installations.wake);
  installations.wake(null);

  async function flowOf(id: string): Promise<QueueStats | null> {
    return queue.health().ok ? queue.stats(id).catch(() => null) : null;
  }

  /** Why an installation's events wait, as /ingest tells it. */
  function holdReason(id: string): string | null {
    const found = installations.get(id);
    if (!found) return null;
    const { enabled } = found.settings;
    if (!enabled) return 'paused';
    const hold = holdOf(enabled, found.delivery.gate());
    return hold && `hold_${hold.reason}`;
  }

  const listeners = createListeners({ admin: config.admin, tls: config.tls, log });
  const http = createHttp({ listeners, log });
  if (config.admin) http.addHook('onRequest', listeners.separate);
  const admission = createAdmission({
    databasePath: beside,
    queued: () => queue.depth(),
    mostQueued: config.maxQueuedEvents,
  });
  const storeHealth = (): ReturnType<typeof queue.health> => {
    const reason = admission.storeFull();
    return reason === null ? queue.health() : { ok: false, reason };
  };
  const accept: AcceptOptions = {
    consent,
    anonymousEvents: config.anonymousEvents,
    isDropped: (event) => ruleFor(config.mappingRules, event)?.drop === true,
  };
  tracing?.watch(http);
  await http.register(roles.ingest ? ingestRoutes : noRoutes, {
    queue,
    settlements,
    authenticate: createAuthenticator(config.ingestAuth),
    accept,
    admission,
    waitMs: config.ingestWaitMs,
    traceparentOf: tracing?.traceparentOf,
    installation: (id) => (id === undefined ? installations.forIngest() : installations.get(id))?.id ?? null,
    hasSeveral: () => installations.list().length > 0,
    holdReason,
    isDeliverySoon: (id, events) => {
      const found = installations.get(id);
      return (
        roles.dispatch &&
        found !== undefined &&
        holdReason(id) === null &&
        queue.depth(id) + events <= 4 * config.concurrency &&
        hasQuota(found.delivery.quota(), events)
      );
    },
    onKept: (events, receipts) => {
      for (const { installation } of events) alerts.accepted(installation, 1);
      activity.kept(receipts);
      live.accepted(events, receipts);
    },
    onAnswer: ({ requestId, status, events, ms }) => {
      metrics.answered(events);
      const level = status < 400 ? 'debug' : 'info';
      if (!log.isLevelEnabled(level)) return; // of a thousand events there is much to gather
      log[level](
        {
          requestId,
          status,
          events: events.length,
          ms: Math.round(ms),
          errors: [...new Set(events.flatMap(({ error }) => error?.code ?? []))],
        },
        'ingest.answered',
      );
    },
  });
  const admin = loadAdminToken(config.adminToken, beside);
  if (admin.madeIn !== null) {
    log.info({ adminToken: admin.token, keptIn: admin.madeIn }, 'admin.token_made: it is printed this once');
  }
  await http.register(roles.console ? consoleRoutes : noRoutes, {
    adminToken: admin.token,
    queue,
    redrives,
    live,
    installations,
    accept,
    activity,
    replicas: ofAll,
    waitMs: config.ingestWaitMs,
    version,
  });
  await http.register(healthRoutes, {
    queue: { ...queue, health: storeHealth },
    dispatches: roles.dispatch,
    installations: () =>
      installations.list().map(({ id, settings, delivery }) => ({
        id,
        isPaused: !settings.enabled,
        gate: delivery.gate(),
      })),
    metrics,
    openapi: () => readFileSync(new URL('../openapi.yaml', import.meta.url), 'utf8'),
  });

  if (roles.dispatch) alerts.start(); // the others see of no gate what it is

  let stopping: Promise<void> | undefined;
  async function shutDown(graceMs: number): Promise<void> {
    admission.close();
    live.close();
    settlements.close(); // who waits for a delivery gets the 202 now
    await Promise.all([listeners.close(http), installations.stop(graceMs)]);
    await Promise.all([alerts.stop(), redrives.stop(), tracing?.close()]);
    await replicas?.close();
    await queue.close();
  }

  return {
    http,
    listenAdmin: () => listeners.listenAdmin(http),
    stop: (graceMs) => {
      stopping ??= shutDown(graceMs);
      return stopping;
    },
  };
}

/** In place of the routes of a part that this process does not play. */
async function noRoutes(): Promise<void> {}

/** A wait for the next window would outlast the sender's patience. */
function hasQuota(
  { limit, used, waiting }: { limit: number | null; used: number; waiting: number },
  events: number,
): boolean {
  return limit === null || used + waiting + 2 * events < limit;
}
