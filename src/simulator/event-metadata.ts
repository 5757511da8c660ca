import { badParameter, type Refusal } from './replies.ts';

/** Documented: keys after the tenth, in the order in which they were sent, are ignored. */
const MAX_KEYS = 10;

/** The part of an event's metadata that Intercom keeps, and what a sender should know about the rest. */
export function checkMetadata(metadata: unknown): { metadata: Record<string, unknown>; flags: string[] } | Refusal {
  if (metadata === undefined || metadata === null) return { metadata: {}, flags: [] };
  if (!isObject(metadata)) return badParameter('metadata');
  const entries = Object.entries(metadata);
  const flags: string[] = [];
  for (const [key] of entries.slice(MAX_KEYS)) flags.push(`metadata '${key}' is dropped`);
  for (const [key, value] of entries.slice(0, MAX_KEYS)) {
    // Inferred: nested values are stored, but no message or filter can use them.
    if (typeof value === 'object' && value !== null && !isRich(value)) flags.push(`metadata '${key}' is nested`);
  }
  const kept = entries.length > MAX_KEYS ? Object.fromEntries(entries.slice(0, MAX_KEYS)) : metadata;
  return { metadata: kept, flags };
}

/** The two documented objects: a rich link and an amount of money in minor units. */
function isRich(value: object): boolean {
  if (!isObject(value)) return false;
  const { url, value: text, amount, currency } = value;
  if (typeof url === 'string' && typeof text === 'string') return true;
  return typeof amount === 'number' && Number.isInteger(amount) && amount >= 0 && typeof currency === 'string';
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
