import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** What a valid signature vouches for beside the body: the header that may name the event, if any. */
export type Signed = { ok: true; signedHeader: 'webhook-id' | null } | { ok: false; detail: string };

const toleranceMs = 5 * 60_000;
/** Standard Webhooks sends one per secret while rotating; each one costs a comparison before anybody is known. */
const mostSignatures = 10;

/**
 * What can be told before the body was read: why the signature can't be one that holds, or null. It spares reading
 * the bodies of whoever does not even try, or comes too late.
 */
export function refuseUnread(headers: IncomingHttpHeaders, nowMs: number): string | null {
  const claim = claimOf(headers);
  if (claim.form === 'none')
    return 'the signature is missing: send X-Signature and X-Timestamp, signed with INGEST_HMAC_SECRET';
  if (claim.form === 'body') return null;
  return isRecent(claim.timestamp, claim.form === 'standard' ? 1000 : 1, nowMs)
    ? null
    : `${claim.form === 'standard' ? 'webhook-timestamp' : 'X-Timestamp'} is not within 5 minutes of this server's clock: check both clocks`;
}

/** Three forms: Standard Webhooks, Signal's own, and one over the bare body. Each is compared in constant time. */
export function checkSignature(
  headers: IncomingHttpHeaders,
  body: Buffer,
  secrets: readonly string[],
  nowMs: number,
): Signed {
  const refusal = refuseUnread(headers, nowMs);
  if (refusal !== null) return { ok: false, detail: refusal };
  const claim = claimOf(headers);
  if (claim.form === 'standard') {
    const expected = secrets.map((secret) =>
      createHmac('sha256', standardKey(secret)).update(`${claim.id}.${claim.timestamp}.`).update(body).digest('base64'),
    );
    let found = false;
    for (const given of claim.signatures) found = matchesAny(expected, given) || found;
    return found ? { ok: true, signedHeader: 'webhook-id' } : wrongSignature;
  }
  const prefix = claim.form === 'signal' ? `${claim.timestamp}.` : '';
  const expected = secrets.map((secret) => createHmac('sha256', secret).update(prefix).update(body).digest('hex'));
  const given = claim.form === 'none' ? '' : claim.signature;
  return matchesAny(expected, given) ? { ok: true, signedHeader: null } : wrongSignature;
}

const wrongSignature: Signed = {
  ok: false,
  detail:
    'the signature does not match the body: check that INGEST_HMAC_SECRET is the secret that the sender signs with',
};

type Claim =
  | { form: 'standard'; id: string; timestamp: string; signatures: string[] }
  | { form: 'signal'; timestamp: string; signature: string }
  | { form: 'body'; signature: string }
  | { form: 'none' };

function claimOf(headers: IncomingHttpHeaders): Claim {
  const standard = one(headers['webhook-signature']);
  if (standard !== undefined) {
    const parts = standard.split(' ', mostSignatures).filter((part) => part.startsWith('v1,'));
    return {
      form: 'standard',
      id: one(headers['webhook-id']) ?? '',
      timestamp: one(headers['webhook-timestamp']) ?? '',
      signatures: parts.map((part) => part.slice(3)),
    };
  }
  const signature = (one(headers['x-signature']) ?? one(headers['x-hub-signature-256']))
    ?.replace(/^sha256=/i, '')
    .toLowerCase();
  if (signature === undefined) return { form: 'none' };
  const timestamp = one(headers['x-timestamp']);
  return timestamp === undefined ? { form: 'body', signature } : { form: 'signal', timestamp, signature };
}

/** Only digits: what `Number` would also read (`1e12`, ` 17 `, `0x1f`) is signed text that means something else. */
function isRecent(timestamp: string, unitMs: number, nowMs: number): boolean {
  return /^\d{1,16}$/.test(timestamp) && Math.abs(nowMs - Number(timestamp) * unitMs) <= toleranceMs;
}

/** Standard Webhooks gives secrets as `whsec_` and base64. */
export function standardKey(secret: string): Buffer {
  return secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret);
}

/** Looks at every candidate in full: the time it takes says nothing of which one was near. */
export function matchesAny(candidates: readonly string[], given: string): boolean {
  const digest = fingerprint(given);
  let found = false;
  for (const candidate of candidates) found = timingSafeEqual(fingerprint(candidate), digest) || found;
  return found;
}

const fingerprint = (text: string): Buffer => createHmac('sha256', 'compare').update(text).digest();

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
