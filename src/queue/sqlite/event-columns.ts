import type { Consent, NewEvent } from '../queue.ts';

/**
 * Many events on their way to the writer thread, a list per field: what is cloned between threads costs the receiver by the
 * object and by the name of each property, which here are few, however many events there are.
 */
type EventColumns = {
  length: number;
  installation: string[];
  messageId: string[];
  type: string[];
  name: (string | null)[];
  userId: (string | null)[];
  email: (string | null)[];
  anonymousId: (string | null)[];
  receivedAtMs: number[];
  atMs: number[];
  payload: string[];
  decision: string[];
  consent: ConsentCode[];
  trace: (string | null)[];
  filtered: (string | null)[];
};

/** Null where the event says nothing; else 2 for functional, and 1 for marketing. */
type ConsentCode = number | null;

export type PackedEvents = NewEvent[] | EventColumns;

/** So many lists are more than a few objects. */
const manyEvents = 8;

export function packEvents(events: NewEvent[]): PackedEvents {
  return events.length < manyEvents ? events : toColumns(events);
}

export function unpackEvents(packed: PackedEvents): NewEvent[] {
  return Array.isArray(packed) ? packed : fromColumns(packed);
}

function toColumns(events: NewEvent[]): EventColumns {
  return {
    length: events.length,
    installation: events.map(({ installation }) => installation),
    messageId: events.map(({ messageId }) => messageId),
    type: events.map(({ type }) => type),
    name: events.map(({ name }) => name),
    userId: events.map(({ userId }) => userId),
    email: events.map(({ email }) => email),
    anonymousId: events.map(({ anonymousId }) => anonymousId),
    receivedAtMs: events.map(({ receivedAtMs }) => receivedAtMs),
    atMs: events.map(({ atMs }) => atMs),
    payload: events.map(({ payload }) => payload),
    decision: events.map(({ decision }) => decision),
    consent: events.map(({ consent }) => encodeConsent(consent)),
    trace: events.map(({ trace }) => trace ?? null),
    filtered: events.map(({ filtered }) => filtered),
  };
}

function fromColumns(columns: EventColumns): NewEvent[] {
  return columns.messageId.map((messageId, at) => {
    const trace = columns.trace[at] ?? null;
    return {
      installation: columns.installation[at]!,
      messageId,
      type: columns.type[at]!,
      name: columns.name[at]!,
      userId: columns.userId[at]!,
      email: columns.email[at]!,
      anonymousId: columns.anonymousId[at]!,
      receivedAtMs: columns.receivedAtMs[at]!,
      atMs: columns.atMs[at]!,
      payload: columns.payload[at]!,
      decision: columns.decision[at]!,
      consent: decodeConsent(columns.consent[at]!),
      ...(trace !== null && { trace }),
      filtered: columns.filtered[at]!,
    };
  });
}

function encodeConsent(consent: Consent | null): ConsentCode {
  return consent && Number(consent.functional) * 2 + Number(consent.marketing);
}

function decodeConsent(code: ConsentCode): Consent | null {
  return code === null ? null : { functional: code >= 2, marketing: code % 2 === 1 };
}
