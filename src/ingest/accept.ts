import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { NewEvent } from '../queue/queue.ts';
import { isDeeperThan, limits } from './body.ts';
import type { ConsentPolicy } from './consent-policy.ts';
import { asObject, type EventProblem, isSha256, parseEvent, type SignalEvent } from './event.ts';

/** The decision on one raw event: what is kept of it, or what is wrong with it. */
export type Accepted =
  | { ok: true; event: NewEvent }
  | { ok: false; messageId: string | null; tooLarge: boolean; problems: EventProblem[] };

export type AcceptOptions = {
  consent: ConsentPolicy;
  anonymousEvents: 'reject' | 'filter' | 'hold';
  /** Whether a mapping rule drops the event. */
  isDropped(event: SignalEvent): boolean;
};

export type Arrival = {
  installation: string;
  receivedAtMs: number;
  /** `webhook-id` or `Idempotency-Key`, of a request with a single event. */
  requestKey: string | undefined;
  /** The traceparent of the request, where somebody collects its trace. */
  trace?: string | undefined;
};

export function acceptEvent(raw: unknown, arrival: Arrival, options: AcceptOptions): Accepted {
  if (isDeeperThan(raw, limits.depth)) {
    return refuse(raw, [
      {
        code: 'too_deep',
        message: `the event is nested deeper than ${limits.depth} levels: send it flatter`,
        path: '',
      },
    ]);
  }
  const payload = JSON.stringify(raw);
  if (payload.length * 3 > limits.eventBytes && Buffer.byteLength(payload) > limits.eventBytes) {
    const message = `the event is larger than ${limits.eventBytes / 1024} KB: send fewer or shorter properties`;
    return { ...refuse(raw, [{ code: 'event_too_large', message, path: '' }]), tooLarge: true };
  }
  const parsed = parseEvent(raw);
  if (!parsed.ok) return refuse(raw, parsed.problems);
  const { event } = parsed;
  const decision = options.consent.decide(event);
  const isAnonymous = event.userId === undefined && event.email === undefined;
  // Without a device id there is nothing that a later login could be recognised by.
  const canBeHeld = options.anonymousEvents === 'hold' && event.anonymousId !== undefined;
  if (decision.granted && isAnonymous && options.anonymousEvents !== 'filter' && !canBeHeld) {
    return refuse(raw, [missingIdentifier(event)]);
  }
  return {
    ok: true,
    event: {
      installation: arrival.installation,
      messageId: event.messageId ?? arrival.requestKey ?? contentId(raw, payload),
      type: event.type,
      name: event.name ?? null,
      userId: event.userId ?? null,
      email: event.email ?? null,
      anonymousId: event.anonymousId ?? null,
      receivedAtMs: arrival.receivedAtMs,
      atMs: event.atMs ?? arrival.receivedAtMs,
      payload,
      decision: JSON.stringify(decision),
      consent: options.consent.statement(event),
      ...(arrival.trace !== undefined && { trace: arrival.trace }),
      filtered: decision.granted
        ? isAnonymous && !canBeHeld
          ? 'no_identifier'
          : options.isDropped(event)
            ? 'mapping_dropped'
            : null
        : `consent_${decision.category}`,
    },
  };
}

/** The same event has the same id, whatever the order of its keys; half a character or 1e999 has no canonical form. */
function contentId(raw: unknown, payload: string): string {
  let content = payload;
  try {
    content = canonicalize(raw) ?? payload;
  } catch {} // as it was read, then
  return `hash-${hash('sha256', content, 'base64url')}`;
}

function refuse(raw: unknown, problems: EventProblem[]): Accepted & { ok: false } {
  const { messageId, message_id: twin } = asObject(raw);
  const told = messageId ?? twin;
  return { ok: false, messageId: typeof told === 'string' ? told.slice(0, 200) : null, tooLarge: false, problems };
}

/** Intercom knows a person by an external_id or an email, and an event needs a person. */
function missingIdentifier(event: SignalEvent): EventProblem {
  const hashed = [event.traits.email, event.properties.email].some(isSha256);
  const remedy = hashed
    ? 'the email is a SHA-256 hash, which Intercom cannot match: let Signal pass it in plain text (PII rules), or send userId'
    : 'send userId, or an email in traits.email';
  return { code: 'missing_identifier', message: `missing external_id or email: ${remedy}`, path: 'userId' };
}
