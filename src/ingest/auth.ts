import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { IngestAuth } from '../config.ts';

/** Who may send: any credential that is configured is accepted, compared in constant time. */
export type Authenticator = (request: {
  headers: IncomingHttpHeaders;
  rawBody: Buffer;
  remoteAddress: string | undefined;
}) => AuthResult;

export type AuthResult = { ok: true } | { ok: false; detail: string; challenge: string };

const toleranceMs = 5 * 60_000;

export function createAuthenticator(auth: IngestAuth, now: () => number = Date.now): Authenticator {
  const { tokens, basic, hmacSecrets } = auth;
  const isConfigured = tokens.length + basic.length + hmacSecrets.length > 0;
  const schemes = [basic.length > 0 ? 'Basic realm="signal-intercom"' : '', hmacSecrets.length > 0 ? 'HMAC' : ''];
  const challenge = [tokens.length > 0 || !isConfigured ? 'Bearer' : '', ...schemes]
    .filter((scheme) => scheme !== '')
    .join(', ');
  const refused = (detail: string): AuthResult => ({ ok: false, detail, challenge });

  return ({ headers, rawBody, remoteAddress }) => {
    if (!isConfigured) return auth.open || isLoopback(remoteAddress) ? granted : refused(notConfigured);
    const [scheme, credentials] = splitOnce(headers.authorization ?? '');
    if (/^bearer$/i.test(scheme) && matchesAny(tokens, credentials)) return granted;
    if (/^basic$/i.test(scheme) && matchesAny(basic, Buffer.from(credentials, 'base64').toString('utf8')))
      return granted;
    if (hmacSecrets.length === 0) return refused(wrongCredentials);
    const signed = checkSignature(headers, rawBody, hmacSecrets, now());
    return signed === true ? granted : refused(signed);
  };
}

const granted: AuthResult = { ok: true };

const notConfigured =
  'no credential is configured, so that only this machine may send: set INGEST_TOKEN (or INGEST_BASIC, INGEST_HMAC_SECRET) here and the same in the webhook, or INGEST_AUTH=none to let everybody send';
const wrongCredentials =
  'the credentials are missing or wrong: send what INGEST_TOKEN or INGEST_BASIC is set to, in the Authorization header';

/** True, or why the signature is not accepted. Three forms: Signal's own, Standard Webhooks, and one over the bare body. */
function checkSignature(
  headers: IncomingHttpHeaders,
  body: Buffer,
  secrets: readonly string[],
  nowMs: number,
): true | string {
  const standard = one(headers['webhook-signature']);
  const signature = one(headers['x-signature']) ?? one(headers['x-hub-signature-256']);
  if (standard !== undefined) {
    const id = one(headers['webhook-id']) ?? '';
    const seconds = one(headers['webhook-timestamp']) ?? '';
    if (!isRecent(Number(seconds) * 1000, nowMs)) return staleTimestamp('webhook-timestamp');
    const expected = secrets.map((secret) =>
      createHmac('sha256', standardKey(secret)).update(`${id}.${seconds}.`).update(body).digest('base64'),
    );
    const given = standard
      .split(' ')
      .filter((part) => part.startsWith('v1,'))
      .map((part) => part.slice(3));
    return given.some((part) => matchesAny(expected, part)) || wrongSignature;
  }
  if (signature === undefined)
    return 'the signature is missing: send X-Signature and X-Timestamp, signed with INGEST_HMAC_SECRET';
  const given = signature.replace(/^sha256=/i, '').toLowerCase();
  const timestamp = one(headers['x-timestamp']);
  if (timestamp !== undefined && !isRecent(Number(timestamp), nowMs)) return staleTimestamp('X-Timestamp');
  const prefix = timestamp === undefined ? '' : `${timestamp}.`;
  const expected = secrets.map((secret) => createHmac('sha256', secret).update(prefix).update(body).digest('hex'));
  return matchesAny(expected, given) || wrongSignature;
}

const wrongSignature =
  'the signature does not match the body: check that INGEST_HMAC_SECRET is the secret that the sender signs with';
const staleTimestamp = (header: string): string =>
  `${header} is not within 5 minutes of this server's clock: check both clocks`;

function isRecent(ms: number, nowMs: number): boolean {
  return Number.isFinite(ms) && Math.abs(nowMs - ms) <= toleranceMs;
}

/** Standard Webhooks gives secrets as `whsec_` and base64. */
function standardKey(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
}

/** Looks at every candidate in full: the time it takes says nothing of which one was near. */
function matchesAny(candidates: readonly string[], given: string): boolean {
  const digest = fingerprint(given);
  let found = false;
  for (const candidate of candidates) found = timingSafeEqual(fingerprint(candidate), digest) || found;
  return found;
}

const fingerprint = (text: string): Buffer => createHmac('sha256', 'compare').update(text).digest();

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^(::ffff:)?127\./.test(address) || address === '::1');
}

function splitOnce(text: string): [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1).trim()];
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
