import { createHmac, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { createActivity } from './console/activity.ts';
import { createAdminGuard, loadAdminToken } from './console/admin-token.ts';
import { eventRoutes } from './console/event-routes.ts';
import { eventStreamRoute } from './console/event-stream.ts';
import { createLive } from './console/live.ts';
import { overviewRoute, viewInstallation } from './console/overview.ts';
import { redriveRoutes } from './console/redrive-routes.ts';
import { createRedrives } from './console/redrives.ts';
import { type AttemptReport, createDispatcher } from './dispatch/dispatcher.ts';
import { createGate, type Gate, type GateState } from './dispatch/gate.ts';
import { createSettlements } from './dispatch/settlements.ts';
import { healthRoutes } from './health.ts';
import { createAuthenticator } from './ingest/auth.ts';
import { createConsentPolicy } from './ingest/consent-policy.ts';
import { ingestProblem, ingestRoutes } from './ingest/route.ts';
import { createIntercomClient } from './intercom/client.ts';
import { createDestination } from './intercom/destination.ts';
import { noRules, ruleFor } from './intercom/mapping-rules.ts';
import { checkInstallation, holdTexts } from './intercom/preflight.ts';
import { createRateLimiter } from './intercom/rate-limiter.ts';
import { savingsOf } from './intercom/savings.ts';
import { createMetrics } from './metrics.ts';
import { sendProblem } from './problem.ts';
import type { Queue } from './queue/queue.ts';
import { openSqliteQueue } from './queue/sqlite/engine.ts';
import { readVersion } from './version.ts';

/** The whole service as a value: everything is opened, connected and registered here, and closed in reverse. */
export type App = {
  http: FastifyInstance;
  /** Stops accepting, lets what is in flight end within `graceMs`, closes the queue. May be called twice. */
  stop(graceMs: number): Promise<void>;
};

const defaultInstallation = 'default';

export async function buildApp(config: Config, log: Logger): Promise<App> {
  const queue = await openSqliteQueue({
    path: config.databasePath,
    holdAnonymous: config.anonymousEvents === 'hold',
    retention: { settledMs: config.retentionMs, deadMs: config.deadLetterMs, heldMs: config.anonymousHoldMs },
    onHealth: (health) => {
      if (!health.ok) log.error({ reason: health.reason }, 'queue.unavailable');
    },
  });
  const settlements = createSettlements();
  const live = createLive({ queue });
  const activity = createActivity();
  const redrives = createRedrives({ queue, live });
  const mapping = { eventNaming: config.eventNaming, rules: config.mappingRules };
  const consent = createConsentPolicy({
    category: config.consentCategory,
    marketingEvents: config.marketingEvents,
    whenAbsent: config.consentWhenAbsent,
    hasRules: config.mappingRules !== noRules,
    ruleCategory: (event) => ruleFor(config.mappingRules, event)?.consent,
  });
  const installation = config.intercom ? openInstallation(config, config.intercom, queue) : null;
  const metrics = createMetrics(async () => ({
    stats: queue.health().ok ? await queue.stats() : null,
    hold: holdReason(),
    limit: installation?.limiter.state().limit ?? null,
    used: installation?.limiter.state().used ?? 0,
    nowMs: Date.now(),
  }));

  function openInstallation(settings: Config, intercom: NonNullable<Config['intercom']>, jobs: Queue) {
    const limiter = createRateLimiter({ share: settings.quotaShare });
    const client = createIntercomClient({
      baseUrl: intercom.apiUrl,
      accessToken: intercom.accessToken,
      version: settings.intercomVersion,
      connections: settings.concurrency + 1, // one for the probe
      limiter,
    });
    const destination = createDestination({ client, mapping, createAttributes: settings.createAttributes });
    const ending = new AbortController();
    const gate: Gate = createGate({
      probe: async () => {
        const patience = { stop: ending.signal, abort: ending.signal };
        const answer = await checkInstallation(client, intercom.region, patience);
        if (!answer.ok) return answer;
        log.info({ workspace: answer.workspace }, 'intercom.ready');
        await destination.prepare(patience);
        return answer;
      },
      explain: explainHold,
      onChange: (state) => {
        if (state.open) dispatcher.wake();
        else announceHold(state);
      },
    });
    const dispatcher = createDispatcher({
      queue: jobs,
      destination,
      gate,
      concurrency: settings.concurrency,
      retryMaxAgeMs: settings.retryMaxAgeMs,
      mayStillSend: (newest) => (event, job) =>
        consent.mayStillSend(event, Math.min(job.atMs, job.receivedAtMs), newest),
      onSettled: (states) => {
        settlements.announce(states);
        live.changed(states);
      },
      onAttempt: recordAttempt,
      onPostponed: (id) => live.changed([{ id, status: 'queued', reason: null }]),
    });
    return { limiter, client, gate, dispatcher, ending };
  }

  function announceHold(state: GateState & { open: false }): void {
    log.error(
      { reason: state.reason, message: state.message, remedy: state.remedy },
      'delivery.held: events are kept, none is sent',
    );
  }

  function holdReason(): string | null {
    const state = installation?.gate.state();
    return state && !state.open && state.reason !== 'starting' ? `hold_${state.reason}` : null;
  }

  function viewInstallations() {
    if (!installation) return [];
    const known = { id: defaultInstallation, name: 'Intercom' };
    return [viewInstallation(known, installation.gate.state(), installation.limiter.state())];
  }

  const personKey = randomBytes(16);

  /** The one line of an attempt: pseudonymous, and without what was sent. */
  function recordAttempt({ lease, step, outcome, reason, status, attempt, retryInMs }: AttemptReport): void {
    if (outcome === 'retry' || outcome === 'hold') settlements.postpone(lease.jobs.map(({ id }) => id));
    activity.attempted({ outcome, events: step.jobs.length, calls: step.calls, saved: savingsOf(step) });
    metrics.attempts.inc({ type: step.type, outcome, reason: reason ?? '' });
    metrics.attemptSeconds.observe(step.ms / 1000);
    for (const call of step.exchange.calls) metrics.calls.inc({ status: call.status ?? 'none' });
    if (outcome === 'delivered')
      for (const job of step.jobs) metrics.delaySeconds.observe((Date.now() - job.receivedAtMs) / 1000);
    const level = outcome === 'delivered' || outcome === 'filtered' ? 'info' : 'warn';
    log[level](
      {
        event: step.jobs.at(-1)?.id,
        events: step.jobs.length,
        type: step.type,
        person: createHmac('sha256', personKey).update(lease.person).digest('hex').slice(0, 12),
        installation: lease.installation,
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
  const http = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent, // lines name their request themselves; a logger per request costs more than they do
    requestIdHeader: 'x-request-id',
    bodyLimit: 1_000_000,
    routerOptions: { ignoreTrailingSlash: true },
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that arrived before the end are answered
  });
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
    const allowed = ['GET', 'POST', 'PUT'].filter((method) => http.hasRoute({ method, url: path }));
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
  await http.register(ingestRoutes, {
    queue,
    settlements,
    authenticate: createAuthenticator(config.ingestAuth),
    accept: {
      consent,
      anonymousEvents: config.anonymousEvents,
      isDropped: (event) => ruleFor(config.mappingRules, event)?.drop === true,
    },
    waitMs: config.ingestWaitMs,
    installation: () => (installation ? { id: defaultInstallation } : null),
    holdReason,
    isDeliverySoon: (events) =>
      installation !== null &&
      holdReason() === null &&
      queue.depth() + events <= 4 * config.concurrency &&
      hasQuota(installation.limiter.state(), events),
    onKept: (events, receipts) => {
      activity.kept(receipts);
      live.accepted(events, receipts);
    },
    onAnswer: ({ requestId, status, events, ms }) => {
      for (const event of events)
        metrics.ingest.inc({ status: event.status, reason: event.error?.code ?? event.reason ?? '' });
      const level = status < 400 ? 'debug' : 'info';
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
  const admin = loadAdminToken(config.adminToken, config.databasePath);
  if (admin.madeIn !== null) {
    log.info({ adminToken: admin.token, keptIn: admin.madeIn }, 'admin.token_made: it is printed this once');
  }
  await http.register(async (guarded) => {
    guarded.addHook('onRequest', createAdminGuard(admin.token));
    await guarded.register(eventRoutes, { queue });
    await guarded.register(redriveRoutes, { queue, redrives });
    await guarded.register(eventStreamRoute, { live });
    await guarded.register(overviewRoute, {
      queue,
      activity,
      installations: viewInstallations,
      version: readVersion(),
    });
  });
  await http.register(healthRoutes, {
    queue,
    gateState: () => installation?.gate.state() ?? null,
    metrics,
    openapi: () => readFileSync(new URL('../openapi.yaml', import.meta.url), 'utf8'),
  });

  installation?.gate.start();
  installation?.dispatcher.start();

  let stopping: Promise<void> | undefined;
  /** A connection that was busy when the closing began is idle once it is answered, and would be kept alive for a minute. */
  async function closeHttp(): Promise<void> {
    const timer = setInterval(() => http.server.closeIdleConnections(), 50);
    await http.close();
    clearInterval(timer);
  }

  async function shutDown(graceMs: number): Promise<void> {
    live.close();
    settlements.close(); // who waits for a delivery gets the 202 now
    installation?.gate.stop();
    await Promise.all([closeHttp(), installation?.dispatcher.stop(graceMs)]);
    installation?.ending.abort();
    await installation?.client.close();
    await redrives.stop();
    await queue.close();
  }

  return {
    http,
    stop: (graceMs) => {
      stopping ??= shutDown(graceMs);
      return stopping;
    },
  };
}

/** Reasons of Intercom's own, and those of a circuit that opened after failures in a row. */
function explainHold(reason: string): { message: string; remedy: string } {
  const known: Record<string, { message: string; remedy: string } | undefined> = holdTexts;
  return (
    known[reason] ?? {
      message: `Intercom fails again and again (${reason})`,
      remedy: 'nothing is lost and delivery resumes by itself; see status.intercom.com if it lasts',
    }
  );
}

/** A wait for the next window would outlast the sender's patience. */
function hasQuota(
  { limit, used, waiting }: { limit: number | null; used: number; waiting: number },
  events: number,
): boolean {
  return limit === null || used + waiting + 2 * events < limit;
}
