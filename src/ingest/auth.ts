import type { IncomingHttpHeaders } from 'node:http';
import type { IngestAuth } from '../config.ts';
import { checkSignature, matchesAny, refuseUnread } from './signature.ts';

/**
 * Who may send: any credential that is configured is accepted, compared in constant time. Asked twice: with the
 * headers alone, so that strangers' bodies are not even read, and with the body where only a signature can tell.
 */
export type Authenticator = (request: {
  headers: IncomingHttpHeaders;
  /** Null before it was read. */
  rawBody: Buffer | null;
  remoteAddress: string | undefined;
}) => AuthResult;

export type AuthResult =
  | { ok: true; naming: Naming }
  | { ok: false; detail: string; challenge: string }
  /** Only the body can tell. */
  | { ok: 'unread' };

/** Which headers may stand for a messageId: those that somebody without the credential can't have changed. */
export type Naming = 'any' | 'webhook-id' | 'none';

export function createAuthenticator(auth: IngestAuth, now: () => number = Date.now): Authenticator {
  const { tokens, basic, hmacSecrets } = auth;
  const isConfigured = tokens.length + basic.length + hmacSecrets.length > 0;
  const schemes = [basic.length > 0 ? 'Basic realm="signal-intercom"' : '', hmacSecrets.length > 0 ? 'HMAC' : ''];
  const challenge = [tokens.length > 0 || !isConfigured ? 'Bearer' : '', ...schemes]
    .filter((scheme) => scheme !== '')
    .join(', ');
  const refused = (detail: string): AuthResult => ({ ok: false, detail, challenge });

  return ({ headers, rawBody, remoteAddress }) => {
    if (!isConfigured) {
      if (auth.open) return granted;
      if (!isLoopback(remoteAddress)) return refused(notConfigured);
      return comesFromElsewhere(headers) ? refused(onlyThisMachine) : granted;
    }
    const [scheme, credentials] = splitOnce(headers.authorization ?? '');
    if (/^bearer$/i.test(scheme) && matchesAny(tokens, credentials)) return granted;
    if (/^basic$/i.test(scheme) && matchesAny(basic, Buffer.from(credentials, 'base64').toString('utf8')))
      return granted;
    if (hmacSecrets.length === 0) return refused(wrongCredentials);
    if (rawBody === null) {
      const detail = refuseUnread(headers, now());
      return detail === null ? { ok: 'unread' } : refused(detail);
    }
    const signed = checkSignature(headers, rawBody, hmacSecrets, now());
    return signed.ok ? { ok: true, naming: signed.signedHeader ?? 'none' } : refused(signed.detail);
  };
}

const granted: AuthResult = { ok: true, naming: 'any' };

const notConfigured =
  'no credential is configured, so that only this machine may send: set INGEST_TOKEN (or INGEST_BASIC, INGEST_HMAC_SECRET) here and the same in the webhook, or INGEST_AUTH=none to let everybody send';
const onlyThisMachine =
  'no credential is configured, so that only this machine may send, and a proxy or a foreign web page brought this request: set INGEST_TOKEN (or INGEST_BASIC, INGEST_HMAC_SECRET) here and the same in the webhook, or INGEST_AUTH=none to let everybody send';
const wrongCredentials =
  'the credentials are missing or wrong: send what INGEST_TOKEN or INGEST_BASIC is set to, in the Authorization header';

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^(::ffff:)?127\./.test(address) || address === '::1');
}

const proxied = ['forwarded', 'x-forwarded-for', 'x-real-ip', 'via', 'cf-connecting-ip'];

/**
 * A connection from this machine may still carry a stranger's request: through a proxy that runs here, or from a web
 * page whose name was made to resolve to 127.0.0.1, which a browser then takes for the same origin.
 */
function comesFromElsewhere(headers: IncomingHttpHeaders): boolean {
  if (proxied.some((name) => headers[name] !== undefined)) return true;
  const isBrowser = headers.origin !== undefined || headers['sec-fetch-site'] !== undefined;
  return isBrowser && !/^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(headers.host ?? '');
}

function splitOnce(text: string): [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1).trim()];
}
