import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import secureJson from 'secure-json-parse';
import { ProblemError } from '../problem.ts';
import { textLimits } from './event.ts';

/** Limits of a request; the same as Signal's own batch endpoint, with twice its events. */
export const limits = { events: 1000, bodyBytes: 5 * 1024 * 1024, eventBytes: 64 * 1024, depth: 32, ...textLimits };

/** The raw events of a request body. Throws a `ProblemError`. */
export async function readBody(raw: Buffer, encoding: string | undefined): Promise<unknown[]> {
  return readEvents(await decompress(raw, encoding));
}

/** The raw events of a body that is not compressed. Throws a `ProblemError`. */
export function readEvents(bytes: Buffer): unknown[] {
  const body = parse(bytes);
  const list = listOf(body) ?? [body];
  if (list.length === 0) {
    throw new ProblemError({
      status: 400,
      code: 'empty_batch',
      detail: 'the list of events is empty: send at least one event',
    });
  }
  if (list.length > limits.events) {
    throw new ProblemError({
      status: 413,
      code: 'too_many_events',
      detail: `${list.length} events in one request; at most ${limits.events} are taken: send smaller batches`,
    });
  }
  return list;
}

type Decode = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>;
const decoders = new Map<string, Decode>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);

export function isCompressed(encoding = 'identity'): boolean {
  return !['identity', ''].includes(encoding.trim().toLowerCase());
}

/** At most `limits.bodyBytes`. Throws a `ProblemError`. */
export async function decompress(bytes: Buffer, encoding = 'identity'): Promise<Buffer> {
  if (!isCompressed(encoding)) return bytes;
  const name = encoding.trim().toLowerCase();
  const decode = decoders.get(name);
  if (!decode) {
    throw new ProblemError({
      status: 415,
      code: 'unsupported_encoding',
      detail: `Content-Encoding ${name.slice(0, 40)} is not supported: send gzip, deflate, br, or no encoding`,
    });
  }
  try {
    return await decode(bytes, { maxOutputLength: limits.bodyBytes });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge();
    throw new ProblemError({
      status: 400,
      code: 'invalid_encoding',
      detail: `the body is not valid ${name}, as Content-Encoding says it is`,
    });
  }
}

export function tooLarge(): ProblemError {
  return new ProblemError({
    status: 413,
    code: 'body_too_large',
    detail: `the body is larger than ${limits.bodyBytes / 1024 / 1024} MB: send smaller batches`,
  });
}

/** JSON's numbers are exact to 15 digits. A longer id is taken as it stands in the text, not as the nearest number. */
const longNumber = /[^"\w.]\d{16,}/;
const idKeys = new Set([
  'userId',
  'user_id',
  'externalId',
  'external_id',
  'anonymousId',
  'anonymous_id',
  'groupId',
  'group_id',
  'messageId',
  'message_id',
]);

function keepLongIds(this: unknown, key: string, value: unknown, context?: { source?: string }): unknown {
  const isLong = typeof value === 'number' && !Number.isSafeInteger(value) && idKeys.has(key);
  return isLong && /^-?\d+$/.test(context?.source ?? '') ? context?.source : value;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parse(bytes: Buffer): unknown {
  if (bytes.length === 0)
    throw new ProblemError({ status: 400, code: 'empty_body', detail: 'the body is empty: send an event as JSON' });
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new ProblemError({ status: 400, code: 'invalid_utf8', detail: 'the body is not valid UTF-8' });
  }
  try {
    return secureJson.parse(text, longNumber.test(text) ? keepLongIds : null, {
      protoAction: 'remove',
      constructorAction: 'ignore',
    });
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^.*?(at position \d+.*)$/s, '$1') : '';
    const where = /^at position \d+/.test(why) ? ` (${why.slice(0, 60)})` : '';
    throw new ProblemError({ status: 400, code: 'invalid_json', detail: `the body is not valid JSON${where}` });
  }
}

/** An array, `{"batch":[…]}` or `{"events":[…]}`; an object with a type of its own is an event, whatever else it has. */
function listOf(body: unknown): unknown[] | undefined {
  if (Array.isArray(body)) return body;
  if (typeof body !== 'object' || body === null || 'type' in body) return undefined;
  for (const key of ['batch', 'events'] as const) {
    if (!(key in body)) continue;
    const list = (body as Record<string, unknown>)[key];
    if (Array.isArray(list)) return list;
    throw new ProblemError({ status: 400, code: 'invalid_batch', detail: `${key} must be an array of events` });
  }
  return undefined;
}

/** An object or array counts as a level. The recursion ends at the limit, so that a hostile body can't exhaust the stack. */
export function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  for (const inner of Array.isArray(value) ? value : Object.values(value)) {
    if (isDeeperThan(inner, depth - 1)) return true;
  }
  return false;
}
