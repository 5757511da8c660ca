import { randomBytes } from 'node:crypto';
import type { createRateWindows, RateState } from './rate-windows.ts';
import type { Call } from './record.ts';
import { badParameter, errorEnvelope, isRefusal, refuse, usualRefusal, type Reply } from './replies.ts';
import type { Handler, Route } from './routes.ts';
import { DEFAULT_VERSION, isKnownVersion, isTooNew } from './versions.ts';

/** A request behind the socket: its record, its token, where it goes, and whether its body could be read. */
export type Incoming = { call: Call; token: string | undefined; route: Route; isMalformed: boolean };
export type Answer = { status: number; headers: Record<string, string>; body: unknown; payload: string };

/**
 * What every request passes before it reaches an endpoint: authentication, the rate limit, the headers.
 * It runs from start to end without a pause, so calls are atomic and take effect in order of arrival.
 */
export function createApi({
  routes,
  tokens,
  windows,
  now,
}: {
  routes: Map<string, Handler>;
  tokens: { accepted: Set<string> };
  windows: ReturnType<typeof createRateWindows>;
  now: () => number;
}) {
  const process = randomBytes(6).toString('hex');
  let requests = 0;
  let dateSecond = 0;
  let date = '';

  /** Executes the call, or answers with `instead` as if an endpoint had said so. */
  return function execute(incoming: Incoming, instead?: Reply): Answer {
    const { token } = incoming;
    if (token === undefined || !tokens.accepted.has(token)) return toAnswer(incoming, instead ?? usualRefusal(401));
    const rate = windows.take(token);
    const reply = instead ?? run(incoming, rate);
    const answer = toAnswer(incoming, reply);
    if (showsRateLimit(reply)) {
      answer.headers['X-RateLimit-Limit'] = String(rate.limit);
      answer.headers['X-RateLimit-Remaining'] = String(rate.remaining);
      answer.headers['X-RateLimit-Reset'] = String(rate.resetSeconds);
    }
    if (instead === undefined) incoming.call.committed = answer.status < 300;
    return answer;
  };

  function run({ call, route, isMalformed }: Incoming, rate: RateState): Reply {
    if (rate.exceeded !== undefined) {
      return refuse(429, 'rate_limit_exceeded', `Exceeded rate limit of ${rate.exceeded} in 10_seconds`);
    }
    if (!acceptsJson(call.headers.accept)) return usualRefusal(406);
    const version = versionOf(call);
    if (!isKnownVersion(version)) {
      return refuse(400, 'intercom_version_invalid', 'The requested version could not be found');
    }
    if (isTooNew(route.endpoint, version)) {
      const message = 'Requested resource is not available in current API version.';
      return refuse(400, 'intercom_version_invalid', message);
    }
    const handler = routes.get(route.endpoint);
    if (!handler) return usualRefusal(404);
    if (call.requestBody !== undefined && !call.headers['content-type']?.includes('json')) return usualRefusal(415);
    if (isMalformed) return refuse(400, 'parameter_invalid', 'The request body is not valid JSON');
    const body = call.requestBody ?? {};
    return isObject(body) ? handler(route, body) : badParameter('body');
  }

  function toAnswer({ call }: Incoming, reply: Reply): Answer {
    requests += 1;
    const requestId = process + requests.toString(36).padStart(8, '0');
    const body = isRefusal(reply) ? errorEnvelope(reply, requestId) : reply.body;
    const payload = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const headers: Record<string, string> = {
      Date: dateNow(),
      'X-Request-Id': requestId,
      'Intercom-Version': versionOf(call),
    };
    if (payload !== '') headers['Content-Type'] = 'application/json; charset=utf-8';
    return { status: reply.status, headers, body, payload };
  }

  /** From the injected clock, because senders correct their own by it. */
  function dateNow(): string {
    const second = Math.floor(now() / 1000);
    if (second !== dateSecond) {
      dateSecond = second;
      date = new Date(second * 1000).toUTCString();
    }
    return date;
  }
}

/** Recorded: on every answer but those to invalid credentials; a token that lacks a scope is valid. */
function showsRateLimit(reply: Reply): boolean {
  if (reply.status !== 401) return true;
  return isRefusal(reply)
    ? reply.code === 'token_unauthorized'
    : JSON.stringify(reply.body).includes('token_unauthorized');
}

/** Documented: a missing or unsuitable Accept header is refused. */
function acceptsJson(accept: string | undefined): boolean {
  return accept !== undefined && /\*\/\*|application\/(\*|json|[\w.-]+\+json)/.test(accept);
}

function versionOf(call: Call): string {
  const version = call.headers['intercom-version'];
  return typeof version === 'string' && version !== '' ? version : DEFAULT_VERSION;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
