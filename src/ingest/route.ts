import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Settlements } from '../dispatch/settlements.ts';
import { ProblemError, sendProblem } from '../problem.ts';
import { type NewEvent, type Queue, QueueUnavailable, type Receipt } from '../queue/queue.ts';
import { type Accepted, type AcceptOptions, acceptEvent } from './accept.ts';
import type { Admission } from './admission.ts';
import { answerEvents, answerStatus, type EventAnswer } from './answer.ts';
import type { Authenticator, Naming } from './auth.ts';
import { limits, readEvents, tooLarge } from './body.ts';
import { refuseWhileLate } from './lateness.ts';
import { readPreference } from './prefer.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** What may name an event of this request; null until its sender is known. */
    naming: Naming | null;
  }
}

export type IngestOptions = {
  queue: Queue;
  settlements: Settlements;
  authenticate: Authenticator;
  accept: AcceptOptions;
  admission: Pick<Admission, 'admit' | 'open'>;
  waitMs: number;
  /** The installation of that name, or without one that which /ingest feeds; null where there is none. */
  installation(name: string | undefined): string | null;
  hasSeveral(): boolean;
  /** Why an installation's events wait, as a reason; null when they don't. */
  holdReason(installation: string): string | null;
  /** Whether so many more events are likely to be delivered within a second or so. */
  isDeliverySoon(installation: string, events: number): boolean;
  /** Right after events were kept, with what the queue answered for each. */
  onKept(events: NewEvent[], receipts: Receipt[]): void;
  onAnswer(report: IngestReport): void;
  /** What its events are kept with, where somebody collects the request's trace. */
  traceparentOf?: ((request: FastifyRequest) => string | undefined) | undefined;
  now?: () => number;
};

type Addressed = { Params: { installation?: string } };

export type IngestReport = { requestId: string; status: number; events: EventAnswer[]; ms: number };

/** `POST` and `PUT /ingest`: authenticate, read, decide, keep, and say what became of each event. */
export async function ingestRoutes(app: FastifyInstance, options: IngestOptions): Promise<void> {
  const now = options.now ?? Date.now;

  // The body stays bytes: a signature is over what was sent, not over what was understood.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/([\w.-]+\+)?json\s*(;|$)/i,
    { parseAs: 'buffer', bodyLimit: limits.bodyBytes },
    (_, body, done) => done(null, body),
  );

  await refuseWhileLate(app);
  app.decorateRequest('naming', null);
  for (const url of ['/ingest', '/ingest/:installation'])
    app.route<Addressed>({ method: ['POST', 'PUT'], url, onRequest: authenticate, handler: ingest });

  async function authenticate(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
    if (refuses(request, reply)) return reply;
    const full = await options.admission.admit(request.raw, reply.raw);
    return full ? sendProblem(reply, full) : undefined;
  }

  /**
   * Before the body is read, and again after it where only a signature can tell. Not async, and no reply as its value:
   * a reply can be awaited, and what comes of that is undefined.
   */
  function refuses(request: FastifyRequest, reply: FastifyReply): boolean {
    const auth = options.authenticate({
      headers: request.headers,
      rawBody: Buffer.isBuffer(request.body) ? request.body : null,
      remoteAddress: request.socket.remoteAddress,
    });
    if (auth.ok === true) request.naming = auth.naming;
    if (auth.ok !== false) return false;
    reply.header('www-authenticate', auth.challenge);
    sendProblem(reply, { status: 401, code: 'unauthorized', detail: auth.detail });
    return true;
  }

  async function ingest(request: FastifyRequest<Addressed>, reply: FastifyReply): Promise<FastifyReply> {
    const startedAt = performance.now();
    const rawBody = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    request.body = rawBody;
    if (request.naming === null && refuses(request, reply)) return reply;
    const installation = options.installation(request.params.installation);
    if (installation === null) return refuseAddress(reply, request.params.installation);
    const { accepted, kept, receipts } = await keep(request, rawBody, installation);
    if (kept.length === 0) return refuseAll(request, reply, accepted, startedAt);
    options.onKept(kept, receipts);
    const prefer = readPreference(request.headers.prefer, options.waitMs);
    const settled = await waitFor(installation, receipts, prefer.waitMs);
    const answers = answerEvents(accepted, receipts, settled, options.holdReason(installation));
    const status = answerStatus(answers);
    if (prefer.applied !== null) reply.header('preference-applied', prefer.applied);
    options.onAnswer({ requestId: request.id, status, events: answers, ms: performance.now() - startedAt });
    const body = { accepted: kept.length, rejected: accepted.length - kept.length, events: answers };
    if (status === 422) {
      return sendProblem(
        reply,
        {
          status,
          code: 'refused_by_intercom',
          detail: 'Intercom refused every event for good; they are kept as dead letters',
          errors: answers.map(({ index, reason }) => ({
            index,
            code: reason ?? 'dead',
            message: `Intercom refused it for good (${reason ?? 'no reason given'})`,
          })),
        },
        body,
      );
    }
    return reply.code(status).type('application/json').send(JSON.stringify(body));
  }

  /** Reads, decides and keeps; what is left of a large body may be forgotten then. */
  async function keep(
    request: FastifyRequest,
    rawBody: Buffer,
    installation: string,
  ): Promise<{ accepted: Accepted[]; kept: NewEvent[]; receipts: Receipt[] }> {
    const { bytes, leave } = await options.admission.open(request.raw, rawBody);
    try {
      request.body = undefined;
      const events = readEvents(bytes);
      const receivedAtMs = now();
      const requestKey = events.length > 1 ? undefined : requestKeyOf(request);
      const arrival = { installation, receivedAtMs, requestKey, trace: options.traceparentOf?.(request) };
      const accepted = events.map((raw) => acceptEvent(raw, arrival, options.accept));
      const kept = accepted.flatMap((one) => (one.ok ? [one.event] : []));
      const receipts = kept.length === 0 ? [] : await options.queue.enqueue(kept);
      return { accepted, kept, receipts };
    } finally {
      leave();
    }
  }

  function refuseAddress(reply: FastifyReply, name: string | undefined): FastifyReply {
    if (name !== undefined && options.hasSeveral()) {
      const detail = `no installation ${name.slice(0, 40)} is here; GET /v1/admin/integrations lists them with the path to send to. Nothing was kept`;
      return sendProblem(reply, { status: 404, code: 'unknown_installation', detail });
    }
    const detail = options.hasSeveral()
      ? 'several Intercom workspaces are installed: send to /ingest/{id} of one of them (GET /v1/admin/integrations lists them); nothing was kept'
      : 'no Intercom workspace is installed: set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION and start again, or install one (POST /v1/admin/integration-catalog/intercom/install); nothing was kept';
    return sendProblem(reply, { status: 503, code: 'no_installation', detail, retryAfterSeconds: 60 });
  }

  function refuseAll(
    request: FastifyRequest,
    reply: FastifyReply,
    accepted: Accepted[],
    startedAt: number,
  ): FastifyReply {
    const events = answerEvents(accepted, [], new Map(), null);
    const errors = accepted.flatMap((one, index) =>
      one.ok ? [] : one.problems.map((problem) => ({ index, ...problem })),
    );
    const isTooLarge = accepted.every((one) => !one.ok && one.tooLarge);
    const status = isTooLarge ? 413 : 400;
    options.onAnswer({ requestId: request.id, status, events, ms: performance.now() - startedAt });
    const detail = [...new Set(errors.map(({ message }) => message))].slice(0, 5).join('; ');
    return sendProblem(
      reply,
      { status, code: isTooLarge ? 'event_too_large' : 'invalid_event', detail, errors },
      { accepted: 0, rejected: events.length, events },
    );
  }

  async function waitFor(installation: string, receipts: Receipt[], ms: number): ReturnType<Queue['states']> {
    if (ms === 0) return new Map();
    const ids = new Set(receipts.flatMap((one) => (isUnderWay(one) ? [one.id] : [])));
    if (ids.size === 0 || !options.isDeliverySoon(installation, ids.size)) return new Map();
    return options.settlements.wait([...ids], ms);
  }
}

function isUnderWay(receipt: Receipt): boolean {
  if (receipt.duplicate) return receipt.original.status === 'queued';
  return receipt.status === 'queued' && receipt.isHeld !== true;
}

/** A header that the sender's signature does not cover may be anybody's: it would make a new event of a replayed one. */
function requestKeyOf(request: FastifyRequest): string | undefined {
  if (request.naming === 'none') return undefined;
  const signed = header(request, 'webhook-id');
  const key = request.naming === 'webhook-id' ? signed : (signed ?? header(request, 'idempotency-key'));
  if (key === undefined || key.length <= limits.idLength) return key;
  const detail = `webhook-id or Idempotency-Key is longer than ${limits.idLength} characters: send a shorter one`;
  throw new ProblemError({ status: 400, code: 'invalid_key', detail });
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  const text = Array.isArray(value) ? value[0] : value;
  return text === undefined || text.trim() === '' ? undefined : text;
}

/** What the routes throw, and what Fastify itself finds wrong with a request, as problems. */
export function ingestProblem(error: unknown): ProblemError['problem'] | undefined {
  if (error instanceof ProblemError) return error.problem;
  if (error instanceof QueueUnavailable) {
    if (error.kind === 'overloaded')
      return {
        status: 429,
        code: 'overloaded',
        detail: `${error.message}; nothing was kept, send again later`,
        retryAfterSeconds: 1,
      };
    return {
      status: 503,
      code: 'cannot_store',
      detail: `the event can't be stored now (${error.message}); nothing was kept, send again later`,
      retryAfterSeconds: 5,
    };
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge().problem;
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') {
    return {
      status: 415,
      code: 'unsupported_media_type',
      detail: 'send JSON, with the header content-type: application/json',
    };
  }
  return undefined;
}
