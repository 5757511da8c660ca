import { readTime } from '../ingest/event.ts';
import { attributeKey, dateSeconds, fitText, readScalar, readText, type Scalar } from './attribute-value.ts';
import { flatten } from './flatten.ts';
import { squash } from './spelling.ts';
import { listNames, type Warn } from './warning.ts';

export type Trait = { key: string; value: unknown };

export type Traits = {
  /** The first of the spellings that carries something usable; it is then no custom attribute any more. */
  take: (spellings: readonly string[], isUsable?: (value: unknown) => boolean) => Trait | undefined;
  /** The same as text, from a text or a number; an object under such a key is left for the attributes. */
  takeText: (...spellings: string[]) => { key: string; text: string } | undefined;
  /** All that was not taken and is not reserved, flat, as custom attributes. */
  rest: (reserved: ReadonlySet<string>) => Record<string, Scalar>;
};

/** A workspace holds 250 attributes in all, and one sender should not fill it. */
const mostAttributes = 100;

/** Traits by their squashed spelling: firstName, first_name and 'First Name' are one. */
export function readTraits(traits: Record<string, unknown>, warn: Warn): Traits {
  const given = Object.entries(traits).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const bySpelling = new Map<string, Trait>();
  for (const [key, value] of given) {
    const spelling = squash(key);
    if (!bySpelling.has(spelling)) bySpelling.set(spelling, { key, value });
  }
  const taken = new Set<string>();

  function take(spellings: readonly string[], isUsable: (value: unknown) => boolean = () => true): Trait | undefined {
    for (const spelling of spellings) {
      const trait = bySpelling.get(spelling);
      if (trait === undefined || !isUsable(trait.value)) continue;
      taken.add(trait.key);
      return trait;
    }
    return undefined;
  }

  function takeText(...spellings: string[]): { key: string; text: string } | undefined {
    const trait = take(spellings, (value) => readText(value) !== undefined);
    return trait && { key: trait.key, text: readText(trait.value)! };
  }

  function rest(reserved: ReadonlySet<string>): Record<string, Scalar> {
    const left = given.filter(([key]) => !taken.has(key) && !reserved.has(squash(key)));
    return toAttributes(left, warn);
  }

  return { take, takeText, rest };
}

/** Unix seconds: Intercom refuses milliseconds and ISO texts, and with them the whole contact. */
export function readDate(traits: Traits, spellings: string[], warn: Warn): number | undefined {
  const sent = traits.take(spellings);
  if (sent === undefined) return undefined;
  const ms = readTime(sent.value);
  if (ms !== undefined) return Math.floor(ms / 1000);
  warn(
    'date_unreadable',
    `${sent.key} is no date and was left out: send ISO 8601, such as 2026-02-25T14:30:00Z`,
    sent.key,
  );
  return undefined;
}

/** Without the keys that have no value: an absent key leaves what Intercom has, a null would wipe it. */
export function withoutGaps<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const filled = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(filled) as { [K in keyof T]?: NonNullable<T[K]> };
}

function toAttributes(traits: [string, unknown][], warn: Warn): Record<string, Scalar> {
  const attributes = new Map<string, Scalar>();
  const dropped: string[] = [];
  for (const leaf of traits.flatMap(([key, value]) => flatten(key, value))) {
    const key = attributeKey(leaf.path);
    const value = readAttribute(key, leaf.value, warn);
    if (value === undefined) continue;
    if (attributes.has(key))
      warn(
        'key_conflict',
        `two traits would both be the attribute ${key}; only the first was sent: rename one of them`,
        key,
      );
    else if (attributes.size === mostAttributes) dropped.push(key);
    else attributes.set(key, value);
  }
  if (dropped.length > 0)
    warn(
      'attributes_dropped',
      `only ${mostAttributes} custom attributes are sent at once; not sent: ${listNames(dropped)}`,
    );
  return Object.fromEntries(attributes);
}

/** A date under any other key stays text: only the sender's naming tells an Intercom date attribute from a text. */
function readAttribute(key: string, raw: unknown, warn: Warn): Scalar | undefined {
  const value = readScalar(raw);
  if (value === undefined) return undefined;
  const seconds = /(?:[_ -](?:at|date|on)|[a-z\d](?:At|Date))$/.test(key) ? dateSeconds(value) : undefined;
  return seconds ?? (typeof value === 'string' ? fitText(value, key, warn) : value);
}
