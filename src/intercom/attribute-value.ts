import { readTime } from '../ingest/event.ts';
import type { Warn } from './warning.ts';

export type Scalar = string | number | boolean;

/** What Intercom's filters take of a text; a longer one may be stored, but nobody finds it. */
export const longestText = 255;
export const longestKey = 190;

/**
 * A value as Intercom can hold it, or `undefined` for none. Null, empty texts and NaN are never sent, since Intercom
 * overwrites what it has with them; 0 and false are values.
 */
export function readScalar(raw: unknown): Scalar | undefined {
  if (typeof raw === 'string') return readText(raw);
  if (typeof raw === 'boolean') return raw;
  if (typeof raw === 'number') return Number.isFinite(raw) ? raw : undefined;
  if (Array.isArray(raw)) return listText(raw);
  return raw !== null && typeof raw === 'object' && Object.keys(raw).length > 0 ? JSON.stringify(raw) : undefined;
}

/** A text without surrounding space; a number as text, since pixels and SDKs differ. */
export function readText(raw: unknown): string | undefined {
  if (typeof raw === 'number') return Number.isFinite(raw) ? String(raw) : undefined;
  if (typeof raw !== 'string') return undefined;
  const text = (raw.includes('\0') ? raw.replaceAll('\0', '') : raw).trim();
  if (text === '') return undefined;
  return text.isWellFormed() ? text : text.toWellFormed();
}

function listText(list: unknown[]): string | undefined {
  if (list.some((item) => typeof item === 'object' && item !== null)) return JSON.stringify(list);
  return readText(
    list
      .map(readScalar)
      .filter((item) => item !== undefined)
      .join(', '),
  );
}

/**
 * The text in the 255 characters that Intercom keeps. A link loses its query rather than its end, which would break
 * it: the advertising ids behind the `?` make most of these links long.
 */
export function fitText(text: string, field: string, warn: Warn): string {
  if (text.length <= longestText) return text;
  const bare = /^https?:\/\/[^?#]*/i.exec(text)?.[0];
  if (bare !== undefined && bare.length <= longestText) {
    warn('text_cut', `${field} is a link longer than ${longestText} characters: sent without its query`, field);
    return bare;
  }
  warn('text_cut', `${field} is longer than ${longestText} characters and was cut: send a shorter text`, field);
  return cutText(text);
}

/** At most `longest` UTF-16 units, and no emoji cut in half. */
export function cutText(text: string, longest = longestText): string {
  return text.length <= longest ? text : `${cut(text, longest - 1)}…`;
}

/** A name or key without ellipsis, so that two services cut it alike. */
export function cut(text: string, longest: number): string {
  const last = text.charCodeAt(longest - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? longest - 1 : longest);
}

/** Intercom refuses '.' and '$' in attribute names; nested keys are joined by '_'. */
export function attributeKey(path: readonly string[]): string {
  const key = path.length === 1 ? path[0]! : path.join('_');
  const clean = /^[\w -]*$/.test(key)
    ? key
    : key
        .toWellFormed()
        .replace(/\p{Cc}/gu, '')
        .replace(/[.$]/g, '_');
  return cut(clean.trim() || '_', longestKey).trimEnd();
}

/** Unix seconds of a text that is an ISO 8601 date or time and nothing else. */
export function isoSeconds(text: string): number | undefined {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return undefined;
  const ms = readTime(text) ?? beforeUnixTime(text);
  return ms === undefined ? undefined : Math.floor(ms / 1000);
}

/** Birthdays: an attribute must not be a text for some people and a number for others. */
function beforeUnixTime(text: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z)?$/.exec(text);
  const ms = match ? Date.parse(`${match[1]}${match[2] ?? 'T00:00Z'}`) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/** Under a key that says date: Unix milliseconds, as number or text, become the seconds that Intercom takes. */
export function dateSeconds(value: Scalar): number | undefined {
  if (typeof value === 'number') return value >= 1e11 && value < 1e14 ? Math.floor(value / 1000) : undefined;
  if (typeof value !== 'string') return undefined;
  if (/^\d{10}$/.test(value)) return Number(value);
  return /^\d{13}$/.test(value) ? Math.floor(Number(value) / 1000) : isoSeconds(value);
}
