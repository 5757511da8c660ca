import { hash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { InstallationSnapshot } from './alerts/causes.ts';
import { openAlerts } from './alerts/open.ts';
import { apiUrlOf, type Config, pathBeside, regionHosts } from './config.ts';
import { createActivity } from './console/activity.ts';
import { createAdminGuard, loadAdminToken } from './console/admin-token.ts';
import { eventRoutes } from './console/event-routes.ts';
import { eventStreamRoute } from './console/event-stream.ts';
import { createLive } from './console/live.ts';
import { overviewRoute } from './console/overview.ts';
import { pageRoutes } from './console/page-routes.ts';
import { addSecureHeaders } from './console/secure-headers.ts';
import { explain } from './console/reasons.ts';
import { redriveRoutes } from './console/redrive-routes.ts';
import { createRedrives } from './console/redrives.ts';
import { openDelivery, tryOut } from './delivery.ts';
import { type AttemptReport, jobsEach } from './dispatch/dispatcher.ts';
import type { GateState } from './dispatch/gate.ts';
import { createSettlements } from './dispatch/settlements.ts';
import { explainRoutes } from './explain/route.ts';
import { healthRoutes } from './health.ts';
import { createAdmission } from './ingest/admission.ts';
import type { AcceptOptions } from './ingest/accept.ts';
import { createAuthenticator } from './ingest/auth.ts';
import { createConsentPolicy } from './ingest/consent-policy.ts';
import { ingestProblem, ingestRoutes } from './ingest/route.ts';
import { holdOf, statusOf } from './installations/answers.ts';
import { openInstallations } from './installations/registry.ts';
import { managementRoutes, sendError } from './installations/routes.ts';
import { loadVault } from './installations/vault.ts';
import { noRules, ruleFor } from './intercom/mapping-rules.ts';
import { holdTexts } from './intercom/preflight.ts';
import { savingsOf } from './intercom/savings.ts';
import { createListeners } from './listeners.ts';
import { createMetrics } from './metrics.ts';
import { peopleRoutes } from './people/routes.ts';
import { sendProblem } from './problem.ts';
import { openQueue } from './queue/open.ts';
import { joinReplicas } from './replicas/open.ts';
import type { QueueStats } from './queue/queue.ts';
import { createRequestIds } from './request-id.ts';
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

  const personKey = randomBytes(16).toString('hex');

  /** The one line of an attempt: pseudonymous, and without what was sent. */
  function recordAttempt(report: AttemptReport): void {
    const { lease, step, outcome, reason, status, attempt, retryInMs } = report;
    if (outcome === 'retry' || outcome === 'hold') settlements.postpone(lease.jobs.map(({ id }) => id));
    activity.attempted({ outcome, events: step.jobs.length, calls: step.calls, saved: savingsOf(step) });
    const { installation } = lease;
    tracing?.attempted(report, apiUrlOf(config, installations.get(installation)?.settings.region ?? null));
    metrics.attempts.inc({ installation, type: step.type, outcome, reason: reason ?? '' });
    if (outcome !== 'retry' && outcome !== 'hold')
      metrics.settled.inc({ installation, status: outcome, reason: reason ?? '' }, step.jobs.length);
    metrics.attemptSeconds.observe(step.ms / 1000);
    for (const call of step.exchange.calls) metrics.calls.inc({ installation, status: call.status ?? 'none' });
    if (outcome === 'dead') alerts.died(installation, reason ?? 'unknown', step.jobs.length);
    if (outcome === 'delivered')
      for (const job of step.jobs) metrics.delaySeconds.observe((Date.now() - job.receivedAtMs) / 1000);
    const level = outcome === 'delivered' || outcome === 'filtered' ? 'info' : 'warn';
    log[level](
      {
        event: step.jobs.at(-1)?.id,
        events: step.jobs.length,
        type: step.type,
        person: hash('sha256', `${personKey}${lease.person}`).slice(0, 12),
        installation,
        attempt,
        outcome,
        reason,
        status,
        calls: step.calls,
        ms: Math.round(step.ms),
        ...(retryInMs !== null && { retryInMs: Math.round(retryInMs) }),
        ...(step.exchange.warnings.length > 0 && { warnings: step.exchange.warnings.map(({ code }) => code) }),
      },
      'delivery.attempted',
    );
  }

  const logger: FastifyBaseLogger = log;
  const listeners = createListeners({ admin: config.admin, tls: config.tls, log });
  const http = Fastify({
    ...listeners.options,
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent, // lines name their request themselves; a logger per request costs more than they do
    genReqId: createRequestIds(),
    bodyLimit: 1_000_000,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 }, // a person's key may be a long one
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that arrived before the end are answered
  });
  if (config.admin) http.addHook('onRequest', listeners.separate);
  http.setErrorHandler((error, request, reply) => {
    const problem = ingestProblem(error);
    if (problem) return sendProblem(reply, problem);
    const status =
      error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : 500;
    if (status < 500)
      return sendProblem(reply, {
        status,
        code: 'bad_request',
        detail: error instanceof Error ? error.message : 'bad request',
      });
    log.error({ err: error, requestId: request.id }, 'request.failed');
    return sendProblem(reply, {
      status: 500,
      code: 'internal_error',
      detail: `the service failed on this request; nothing of it is confirmed. Its logs say more under the request id ${request.id}`,
    });
  });
  http.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => http.hasRoute({ method, url: path }));
    if (allowed.length > 0) {
      const detail = `${path} takes ${allowed.join(' and ')}, not ${request.method}`;
      return sendProblem(reply.header('allow', allowed.join(', ')), {
        status: 405,
        code: 'method_not_allowed',
        detail,
      });
    }
    const detail = `${request.method} ${path} is no route of this service; /openapi.yaml lists them`;
    return sendProblem(reply, { status: 404, code: 'not_found', detail });
  });
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
  const guard = createAdminGuard(admin.token);
  await http.register(async (guarded) => {
    if (!roles.console) return;
    const refuse = guard((reply, { status, detail }) =>
      sendProblem(reply, { status, code: status === 401 ? 'unauthorized' : 'too_many_failures', detail }),
    );
    guarded.addHook('onRequest', addSecureHeaders);
    guarded.addHook('onRequest', refuse);
    await guarded.register(eventRoutes, { queue });
    await guarded.register(redriveRoutes, { queue, redrives });
    await guarded.register(eventStreamRoute, { live });
    await guarded.register(peopleRoutes, {
      queue,
      hasInstallation: (id) => installations.get(id) !== undefined,
      waitMs: config.ingestWaitMs,
      onErasure: (id) => live.changed([{ id, status: 'queued', reason: null }]),
    });
    await guarded.register(explainRoutes, {
      queue,
      accept,
      jobsEach,
      installation(id) {
        const found = id === undefined ? installations.forIngest() : installations.get(id);
        if (!found) return null;
        const { destination } = found.delivery;
        return { id: found.id, destination, hold: holdOf(found.settings.enabled, found.delivery.gate()) };
      },
    });
    await guarded.register(overviewRoute, {
      queue,
      activity,
      replicas: ofAll,
      installations: () =>
        installations.list().map(({ id, settings, delivery }) => ({
          id,
          name: settings.name,
          status: statusOf(settings.enabled, delivery.gate()),
          hold: holdOf(settings.enabled, delivery.gate()),
          quota: delivery.quota(),
        })),
      version,
    });
  });
  await http.register(async (guarded) => {
    if (!roles.console) return;
    const refuse = guard((reply, { status, detail }) =>
      sendError(reply, status, status === 401 ? 'INVALID_TOKEN' : 'RATE_LIMITED', detail),
    );
    guarded.addHook('onRequest', addSecureHeaders);
    guarded.addHook('onRequest', refuse);
    await guarded.register(managementRoutes, { installations, queue });
  });
  await http.register(roles.console ? pageRoutes : noRoutes);
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
  /** A connection that was busy when the closing began is idle once it is answered, and would be kept alive for a minute. */
  async function closeHttp(): Promise<void> {
    const timer = setInterval(() => listeners.closeIdle(http), 50);
    await Promise.all([http.close(), listeners.close()]);
    clearInterval(timer);
  }

  async function shutDown(graceMs: number): Promise<void> {
    admission.close();
    live.close();
    settlements.close(); // who waits for a delivery gets the 202 now
    await Promise.all([closeHttp(), installations.stop(graceMs)]);
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

function gateSnapshot(state: GateState): InstallationSnapshot['gate'] {
  if (state.open) return { kind: 'open' };
  const { reason, message, remedy } = state;
  if (reason === 'starting') return { kind: 'unknown' };
  return {
    kind: 'held',
    reason,
    message,
    remedy,
    mendsItself: !(reason in holdTexts || reason === 'token_unreadable'),
  };
}

/** A wait for the next window would outlast the sender's patience. */
function hasQuota(
  { limit, used, waiting }: { limit: number | null; used: number; waiting: number },
  events: number,
): boolean {
  return limit === null || used + waiting + 2 * events < limit;
}
