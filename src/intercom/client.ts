import { Agent, type Dispatcher } from 'undici';
import { z } from 'zod';
import type { RateAnswer, RateLimiter } from './rate-limiter.ts';

/** One call of the Intercom REST API. Never retries, follows no redirect, and returns network failures as values. */
export type IntercomClient = {
  call(request: Call): Promise<Reply>;
  close(): Promise<void>;
};

export type Call = {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: unknown;
  patience: Patience;
  /** Goes before the queue's calls when the quota is short. */
  urgent?: boolean;
  /** Asked once the quota allows the call, right before it goes out; what it throws ends the call unsent. */
  mayGo?: () => Promise<void>;
};

export type Patience = {
  /** No new call is begun once this is aborted; one under way goes on. */
  stop: AbortSignal;
  /** Ends a call under way. */
  abort: AbortSignal;
};

/** The call was given up before anything of it went out. */
export class NotSent extends Error {}

export type Reply =
  | ({
      kind: 'answer';
      status: number;
      /** Parsed JSON, or undefined where the answer has no JSON body. */
      body: unknown;
      isJson: boolean;
      errors: ApiError[];
      requestId: string | null;
    } & Timing)
  /** No answer. `sent`: the request may have reached Intercom, and may have been carried out. */
  | ({ kind: 'no_answer'; failure: 'timeout' | 'connection'; code: string; sent: boolean } & Timing);

/** `startedAt`: what `performance.now()` said when it was sent. */
export type Timing = { startedAt: number; ms: number };

export type ApiError = { code: string; message: string };

export type IntercomTarget = { baseUrl: string; accessToken: string };

export type ClientOptions = {
  /** Read for each call, so that a new token counts from the next one on. */
  target(): IntercomTarget;
  version: string;
  connections: number;
  limiter: RateLimiter;
  /** For the answer's head and body each. */
  timeoutMs?: number;
};

/** Documented for all errors; each part may be missing (an edge's HTML, a null message). */
const ErrorList = z.object({
  request_id: z.string().nullish(),
  errors: z.array(z.object({ code: z.string().nullish(), message: z.string().nullish() })).optional(),
});

const largestAnswerBytes = 1_000_000;
const connectTimeoutMs = 10_000;
const defaultTimeoutMs = 60_000;

export function createIntercomClient(options: ClientOptions): IntercomClient {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const agent = new Agent({
    connections: options.connections,
    pipelining: 1, // an answer that hangs must not hold back another call
    connect: { timeout: connectTimeoutMs, rejectUnauthorized: true }, // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    maxResponseSize: largestAnswerBytes,
    keepAliveTimeout: 20_000,
  });
  const headers = {
    'intercom-version': options.version,
    accept: 'application/json',
    'user-agent': 'signal-intercom',
  };

  async function call({ method, path, body, patience, urgent, mayGo }: Call): Promise<Reply> {
    try {
      await options.limiter.take(patience.stop, urgent);
    } catch (error) {
      throw new NotSent('the service stops: the call was not begun', { cause: error });
    }
    try {
      await mayGo?.();
    } catch (error) {
      options.limiter.giveBack();
      throw error;
    }
    const { baseUrl, accessToken } = options.target();
    const { origin, pathname } = new URL(baseUrl);
    const startedAt = performance.now();
    let rate: Omit<RateAnswer, 'tookMs'> = { isTelling: false, limited: false };
    try {
      const response = await agent.request({
        origin,
        method,
        path: pathname.replace(/\/+$/, '') + path,
        headers: {
          ...headers,
          authorization: `Bearer ${accessToken}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: patience.abort,
      });
      rate = readRate(response.statusCode, response.headers);
      const text = await readText(response.body, timeoutMs);
      return readAnswer(response.statusCode, response.headers, text, since(startedAt));
    } catch (error) {
      return readFailure(error, since(startedAt));
    } finally {
      options.limiter.learn({ ...rate, tookMs: performance.now() - startedAt });
    }
  }

  return { call, close: () => agent.close() };
}

function since(startedAt: number): Timing {
  return { startedAt, ms: performance.now() - startedAt };
}

/** undici's own limit is the silence between two pieces: an answer that drips would hold its person for hours. */
async function readText(body: Dispatcher.ResponseData['body'], withinMs: number): Promise<string> {
  const timer = setTimeout(() => {
    body.destroy(Object.assign(new Error('the answer does not end'), { code: 'UND_ERR_BODY_TIMEOUT' }));
  }, withinMs);
  try {
    return await body.text();
  } finally {
    clearTimeout(timer);
  }
}

type Headers = Record<string, string | string[] | undefined>;

function readAnswer(status: number, headers: Headers, text: string, timing: Timing): Reply {
  const body = parseJson(text);
  const list = ErrorList.safeParse(body);
  return {
    kind: 'answer',
    status,
    body,
    isJson: body !== undefined,
    errors: list.success
      ? (list.data.errors ?? []).map(({ code, message }) => ({ code: code ?? '', message: message ?? '' }))
      : [],
    requestId: one(headers['x-request-id']) ?? (list.success ? (list.data.request_id ?? null) : null),
    ...timing,
  };
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function readRate(status: number, headers: Headers): Omit<RateAnswer, 'tookMs'> {
  const date = Date.parse(one(headers.date) ?? '');
  return {
    limit: number(headers['x-ratelimit-limit']),
    remaining: number(headers['x-ratelimit-remaining']),
    resetSeconds: number(headers['x-ratelimit-reset']),
    dateMs: Number.isNaN(date) ? undefined : date,
    retryAfterSeconds: number(headers['retry-after']),
    isTelling: status < 500 && status !== 401 && status !== 429,
    limited: status === 429,
  };
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function number(value: string | string[] | undefined): number | undefined {
  const text = one(value);
  return text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** Failures of the connection attempt itself: nothing was sent. */
const beforeSending = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const timeouts = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT']);

function readFailure(error: unknown, timing: Timing): Reply {
  const code = errorCode(error);
  if (code === undefined) throw error;
  return {
    kind: 'no_answer',
    failure: timeouts.has(code) ? 'timeout' : 'connection',
    code,
    sent: !beforeSending.has(code) && !code.startsWith('ERR_TLS') && !code.includes('CERT'),
    ...timing,
  };
}

/** Network failures carry a code; several addresses tried end in one AggregateError. An abort is no failure. */
function errorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name === 'AbortError') return undefined;
  if ('code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return errorCode(error.errors[0]);
  return undefined;
}
