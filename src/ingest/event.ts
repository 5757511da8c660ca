import { z } from 'zod';

/**
 * A Datafly Signal event, normalised: one spelling per key, absent ids as `undefined`, time in Unix milliseconds.
 * Everything behind the front door reads this and never the raw body.
 */
export type SignalEvent = {
  type: 'identify' | 'page' | 'track' | 'group';
  /** As Signal sent it: the event of a track, the name of a page or screen. */
  name: string | undefined;
  userId: string | undefined;
  /** Lower-case plain email of the person, wherever the event carries it. */
  email: string | undefined;
  anonymousId: string | undefined;
  groupId: string | undefined;
  messageId: string | undefined;
  /** The event's own time in Unix milliseconds; absent when the sender gave none. */
  atMs: number | undefined;
  properties: Record<string, unknown>;
  traits: Record<string, unknown>;
  context: Record<string, unknown>;
  /** The consent object as it came; `undefined` when the event carries none at all. */
  consent: unknown;
};

export type EventProblem = { code: string; message: string; path: string };
export type ParsedEvent = { ok: true; event: SignalEvent } | { ok: false; problems: EventProblem[] };

/** In UTF-16 units. An id is a key of indexes, in memory and in databases that take no key of some kilobytes. */
export const textLimits = { idLength: 512, nameLength: 1024 };

const id = (description: string) =>
  z
    .union([z.string(), z.number()], { error: 'must be a text or a number' })
    .nullish()
    .meta({ description: `${description} At most ${textLimits.idLength} characters.` });

const object = (description: string) =>
  z.record(z.string(), z.unknown(), { error: 'must be an object' }).nullish().meta({ description });

const timestamp = z
  .union([z.string(), z.number()], { error: 'must be an ISO 8601 text or Unix milliseconds' })
  .nullish()
  .refine((value) => isAbsent(value) || readTime(value) !== undefined, {
    error: 'is no readable time: send ISO 8601 (2026-02-25T14:30:00.000Z) or Unix milliseconds',
  })
  .meta({
    description:
      'When the event happened: ISO 8601 or Unix milliseconds, as a text or a number. Absent: the time of receipt.',
  });

/** The wire form of one event. Unknown keys are kept; each camelCase key may also come in snake_case. */
export const WireEvent = z
  .looseObject({
    type: z
      .enum(['identify', 'page', 'screen', 'track', 'group'], {
        error: 'must be one of identify, page, screen, track, group',
      })
      .meta({ description: 'The kind of event. A screen is handled as a page.' }),
    event: z
      .string({ error: 'must be a text' })
      .nullish()
      .meta({ description: 'The event name; required for track. Names a page that has no `name`.' }),
    name: z.string({ error: 'must be a text' }).nullish().meta({ description: 'The name of a page or screen.' }),
    userId: id(
      'Your own stable id of the person: `external_id` in Intercom. A number is taken as text, an empty text as absent.',
    ),
    user_id: id('The same as `userId`.'),
    externalId: id('The same as `userId`.'),
    external_id: id('The same as `userId`.'),
    email: id('The email of the person, where `traits.email` and `context.traits.email` carry none.'),
    anonymousId: id('The id of the browser or device.'),
    anonymous_id: id('The same as `anonymousId`.'),
    groupId: id('The company; required for group.'),
    group_id: id('The same as `groupId`.'),
    messageId: id(
      'Unique per event: a repeat within 7 days is answered with the state of the first and not sent again.',
    ),
    message_id: id('The same as `messageId`.'),
    properties: object('What belongs to a page or tracked event.'),
    traits: object('What is known of the person, or of the company of a group.'),
    context: object('Where it happened; `context.consent` carries the consent.'),
    consent: z.unknown().optional().meta({ description: 'The consent, where it is not in `context.consent`.' }),
    timestamp,
  })
  .meta({ id: 'Event', description: 'One Datafly Signal event. Unknown keys are kept.' });

type WireEvent = z.infer<typeof WireEvent>;

/** Reads one raw event, or says all that is wrong with it. Changes nothing; never throws. */
export function parseEvent(raw: unknown): ParsedEvent {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    return refused([{ code: 'invalid_event', message: 'an event must be a JSON object', path: '' }]);
  }
  const parsed = WireEvent.safeParse(raw);
  if (!parsed.success) {
    return refused(
      parsed.error.issues.map((issue) => {
        const path = issue.path.join('.');
        return { code: 'invalid_field', message: `${path || 'event'} ${issue.message}`, path };
      }),
    );
  }
  const wire = parsed.data;
  const event = normalise(wire);
  const wrong = missingName(wire, event) ?? tooLong(event);
  return wrong ? refused([wrong]) : { ok: true, event };
}

function refused(problems: EventProblem[]): ParsedEvent {
  return { ok: false, problems };
}

function normalise(wire: WireEvent): SignalEvent {
  const traits = wire.traits ?? {};
  const context = wire.context ?? {};
  const properties = wire.properties ?? {};
  const userId = text(wire.userId) ?? text(wire.user_id) ?? text(wire.externalId) ?? text(wire.external_id);
  const isPage = wire.type === 'page' || wire.type === 'screen';
  const email =
    plainEmail(traits.email) ??
    plainEmail(asObject(context.traits).email) ??
    plainEmail(wire.email) ??
    // A property names the person only where nothing else does: beside a userId it may be somebody
    // else's address (a friend who was invited), and must not tie two people together.
    (userId === undefined ? plainEmail(properties.email) : undefined);
  return {
    type: wire.type === 'screen' ? 'page' : wire.type,
    name: text(isPage ? (wire.name ?? wire.event) : wire.event),
    userId,
    email: wire.type === 'group' ? groupEmail(wire, context) : email,
    anonymousId: text(wire.anonymousId) ?? text(wire.anonymous_id),
    groupId: text(wire.groupId) ?? text(wire.group_id),
    messageId: text(wire.messageId) ?? text(wire.message_id),
    atMs: isAbsent(wire.timestamp) ? undefined : readTime(wire.timestamp),
    properties,
    traits,
    context,
    consent: context.consent ?? wire.consent ?? undefined,
  };
}

/** The traits of a group describe the company, so that their email is not the person's. */
function groupEmail(wire: WireEvent, context: Record<string, unknown>): string | undefined {
  return plainEmail(asObject(context.traits).email) ?? plainEmail(wire.email);
}

function missingName(wire: WireEvent, event: SignalEvent): EventProblem | undefined {
  if (event.type === 'track' && event.name === undefined) {
    return { code: 'missing_field', message: 'event is required for track: send the event name', path: 'event' };
  }
  if (event.type === 'group' && event.groupId === undefined) {
    return { code: 'missing_field', message: 'groupId is required for group: send the company id', path: 'groupId' };
  }
  return undefined;
}

function tooLong(event: SignalEvent): EventProblem | undefined {
  for (const key of ['userId', 'anonymousId', 'groupId', 'messageId'] as const) {
    if ((event[key]?.length ?? 0) > textLimits.idLength)
      return {
        code: 'invalid_field',
        message: `${key} is longer than ${textLimits.idLength} characters: send a shorter one`,
        path: key,
      };
  }
  if ((event.name?.length ?? 0) <= textLimits.nameLength) return undefined;
  const path = event.type === 'track' ? 'event' : 'name';
  return {
    code: 'invalid_field',
    message: `${path} is longer than ${textLimits.nameLength} characters: send a shorter one`,
    path,
  };
}

/** Ids are compared as text; an empty one is an absent one. NUL has no place in a database text. */
function text(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  return value.includes('\0') || !value.isWellFormed() ? value.replaceAll('\0', '').toWellFormed() : value;
}

/**
 * The lower-case address if the value is one. Signal's privacy rules may replace an email by its SHA-256 hash
 * or strip it: such a value identifies nobody in Intercom.
 */
export function plainEmail(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const email = value.trim().toLowerCase();
  // No control characters, and no half of a surrogate pair, which a database would turn into another key.
  return email.length <= 254 && /^[^\s@\p{Cc}\p{Cs}]+@[^\s@\p{Cc}\p{Cs}]+$/u.test(email) ? email : undefined;
}

export function isSha256(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/i.test(value.trim());
}

export function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function isAbsent(value: unknown): value is null | undefined | '' {
  return value === undefined || value === null || value === '';
}

const earliestMs = 0;
const latestMs = 253_402_300_799_999; // the end of year 9999

/** Unix milliseconds of an ISO 8601 text, of Unix milliseconds, or of Unix seconds; `undefined` if it is none. */
export function readTime(value: unknown): number | undefined {
  const number =
    typeof value === 'number'
      ? value
      : typeof value === 'string' && /^\d+(\.\d+)?$/.test(value)
        ? Number(value)
        : undefined;
  const ms = number === undefined ? readIso(value) : unixMs(number);
  return ms !== undefined && ms >= earliestMs && ms <= latestMs ? ms : undefined;
}

/** Below 10^11 a number is taken for seconds: as milliseconds it would lie before 1973-03-03. */
function unixMs(number: number): number | undefined {
  if (!Number.isFinite(number)) return undefined;
  return Math.round(number < 1e11 ? number * 1000 : number);
}

function readIso(value: unknown): number | undefined {
  if (typeof value !== 'string') return undefined;
  // What every SDK sends, and V8 reads fastest.
  if (value.length === 24 && value.endsWith('Z') && value.slice(8, 10) <= '28') {
    const ms = Date.parse(value);
    if (!Number.isNaN(ms)) return ms;
  }
  const match = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)\s?(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i.exec(
    value.trim(),
  );
  if (!match) return undefined;
  const [, day, time = '00:00', zone = 'Z'] = match;
  const offset = /^[+-]\d{2}$/.test(zone) ? `${zone}:00` : zone.replace(/^([+-]\d{2})(\d{2})$/, '$1:$2').toUpperCase();
  const ms = Date.parse(`${day}T${time.replace(',', '.')}${offset}`);
  return Number.isNaN(ms) || !isCalendarDay(day!) ? undefined : ms;
}

/** `Date.parse` turns 30 February into 2 March. */
function isCalendarDay(day: string): boolean {
  if (day.slice(8) <= '28') return true;
  const ms = Date.parse(`${day}T00:00Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day);
}
