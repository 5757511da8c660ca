import { fields } from './fields.ts';
import { adminToken, signOut } from './session.ts';

/** An answer of the service, or what went wrong: what happened, and what to do about it. */
export type Reply<T> = { ok: true; status: number; body: T } | { ok: false; failure: Failure };

export type Failure = {
  /** Null: nothing answered. */
  status: number | null;
  code: string;
  message: string;
  remedy: string | null;
  /** Each single thing that is wrong, by the field that it stands in. */
  details: { field: string; message: string }[];
  /** The answer as it came, where it says more than the above. */
  body: unknown;
};

export type Ask = {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: unknown;
  /** Instead of the admin token's. */
  headers?: Record<string, string>;
  signal?: AbortSignal;
};

/** Asks with the admin token; a token that is refused ends the session. */
export async function ask(path: string, options: Ask = {}): Promise<Reply<unknown>> {
  const given = adminToken.value;
  const headers = { authorization: `Bearer ${given ?? ''}`, ...options.headers };
  const reply = await send(path, { ...options, headers });
  if (!reply.ok && reply.failure.status === 401 && given === adminToken.value)
    signOut('The service no longer accepts this token. It may have been changed: enter the new one.');
  return reply;
}

/** Asks with the given headers alone. */
export async function send(path: string, { method = 'GET', body, headers = {}, signal }: Ask): Promise<Reply<unknown>> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
      cache: 'no-store',
      credentials: 'omit',
      signal: signal ?? null,
    });
  } catch {
    return { ok: false, failure: unreachable };
  }
  const text = await response.text().catch(() => '');
  const answer = parse(text);
  if (response.ok) return { ok: true, status: response.status, body: answer };
  return { ok: false, failure: explain(response.status, answer) };
}

const unreachable: Failure = {
  status: null,
  code: 'unreachable',
  message: 'The service does not answer.',
  remedy: 'Check that it runs and that this computer reaches it, then try again.',
  details: [],
  body: null,
};

/** Both of the service's shapes: problem+json, and the management API's envelope. */
function explain(status: number, body: unknown): Failure {
  const answer = fields(body);
  const envelope = answer.objectOrNull('error');
  const details = envelope
    ? envelope.list('details', (item) => ({ field: item.text('field'), message: item.text('message') }))
    : answer.list('errors', (item) => ({ field: item.text('path'), message: item.text('message') }));
  const message = envelope ? envelope.text('message') : answer.text('detail');
  return {
    status,
    code: envelope ? envelope.text('code') : answer.text('code'),
    message: message === '' ? `The service answered ${status}.` : sentence(message),
    remedy: status === 429 || status === 503 ? 'Nothing was changed. Try again in a moment.' : null,
    details,
    body,
  };
}

/** Texts of the service begin in lower case and end without a stop, for logs; on the page they are sentences. */
export function sentence(text: string): string {
  if (text === '') return '';
  const capital = /^[a-z]+(?:[\s,;:']|$)/.test(text) ? text[0]!.toUpperCase() + text.slice(1) : text;
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
