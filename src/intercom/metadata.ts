import { attributeKey } from './attribute-value.ts';
import { readCurrency } from './currency.ts';
import type { KnownEvent } from './event-catalog.ts';
import { dig } from './flatten.ts';
import { readProperty, type Entry, type MetadataValue, type Surroundings } from './metadata-value.ts';
import { squash } from './spelling.ts';
import { unifyProperties } from './unified-property.ts';
import { collectWarnings, listNames, type Warn } from './warning.ts';

/** Intercom silently ignores every key after the tenth (Submit a data event, "Metadata behaviour"). */
export const mostKeys = 10;

type Properties = Record<string, unknown>;
type Metadata = Record<string, MetadataValue>;

/** Flat metadata of at most ten keys: those that a rule lists, in its order, else the most important ones. */
export function buildMetadata(
  properties: Properties,
  known: KnownEvent,
  listed: readonly string[] | undefined,
  warn: Warn,
): Metadata {
  const noticed = collectWarnings();
  const unified = unifyProperties(properties, known.isOrder, noticed.warn);
  const sentCurrency = unified.find(({ key }) => key === 'currency')?.value;
  const around = { isCommerce: known.ranks.has('currency'), currency: readCurrency(sentCurrency), warn: noticed.warn };
  const entries: Entry[] = [];
  for (const property of unified) entries.push(...readProperty(property, around));
  const chosen = withoutRepeats(
    listed === undefined ? byImportance(entries, known) : pick(entries, listed, properties, around),
    noticed.warn,
  );
  const kept = chosen.slice(0, mostKeys);
  const metadata = Object.fromEntries(kept.map(({ key, value }) => [key, value]));
  for (const { code, message, field } of noticed.warnings) {
    if (field === undefined || Object.hasOwn(metadata, field)) warn(code, message, field);
  }
  warnOfCurrency(kept, sentCurrency, around.currency !== undefined, warn);
  warnOfDropped(chosen.slice(mostKeys), warn);
  return metadata;
}

const kinds: Entry['kind'][] = ['money', 'currency', 'plain', 'nested'];

/** First what the catalogue ranks, then money, then the rest in the order sent, with nested values last. */
function byImportance(entries: Entry[], known: KnownEvent): Entry[] {
  const ranked = entries.map((entry) => {
    const rank = known.ranks.get(squash(entry.key)) ?? known.ranks.size + kinds.indexOf(entry.kind);
    return { entry, rank };
  });
  return ranked.sort((one, other) => one.rank - other.rank).map(({ entry }) => entry);
}

/** A rule names keys as they appear in Intercom or as they were sent, or dotted paths into the properties. */
function pick(entries: Entry[], listed: readonly string[], properties: Properties, around: Surroundings): Entry[] {
  return listed.flatMap((path) => {
    const found = entries.filter(({ key, source }) => key === path || source === path || source.startsWith(`${path}.`));
    if (found.length > 0) return found;
    const steps = path.split('.');
    return readProperty({ key: attributeKey(steps), source: path, value: dig(properties, steps) }, around);
  });
}

function withoutRepeats(entries: Entry[], warn: Warn): Entry[] {
  const byKey = new Map<string, Entry>();
  for (const entry of entries) {
    const first = byKey.get(entry.key);
    if (first === undefined) byKey.set(entry.key, entry);
    else if (first.source !== entry.source) {
      warn(
        'key_conflict',
        `${first.source} and ${entry.source} would both be ${entry.key}; only the first was sent: rename one of them`,
        entry.key,
      );
    }
  }
  return [...byKey.values()];
}

function warnOfCurrency(kept: Entry[], sent: unknown, isKnown: boolean, warn: Warn): void {
  const amounts = kept.filter(({ kind, value }) => kind === 'money' && typeof value === 'number' && value >= 0);
  if (isKnown || amounts.length === 0) return;
  const names = listNames(amounts.map(({ key }) => key));
  if (sent === undefined) {
    warn(
      'currency_missing',
      `sent as plain numbers, since no currency came with them: ${names}. Send currency, such as "USD", beside them`,
      'currency',
    );
  } else {
    warn(
      'currency_unknown',
      `sent as plain numbers, since the currency is no ISO 4217 code: ${names}. Send a code such as "USD"`,
      'currency',
    );
  }
}

function warnOfDropped(dropped: Entry[], warn: Warn): void {
  if (dropped.length === 0) return;
  const names = listNames(dropped.map(({ key }) => key));
  warn(
    'metadata_dropped',
    `Intercom keeps ${mostKeys} metadata keys per event; not sent: ${names}. A mapping rule can choose others`,
  );
}
