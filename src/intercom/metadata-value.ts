import { attributeKey, cut, dateSeconds, fitText, isoSeconds, longestKey, readScalar } from './attribute-value.ts';
import type { Currency } from './currency.ts';
import { flatten } from './flatten.ts';
import { isMonetary, isMoneyKey, readMonetary, readMoney, type Monetary } from './monetary-amount.ts';
import { squash } from './spelling.ts';
import type { Property } from './unified-property.ts';
import type { Warn } from './warning.ts';

export type RichLink = { url: string; value: string };
export type MetadataValue = string | number | Monetary | RichLink;

/** One key of the metadata; `source` is the dotted path of the property that it came from. */
export type Entry = {
  key: string;
  source: string;
  value: MetadataValue;
  kind: 'money' | 'currency' | 'plain' | 'nested';
};

export type Surroundings = { isCommerce: boolean; currency: Currency | undefined; warn: Warn };

/** What a property becomes in metadata: nothing, one key, or one for each value nested in it. */
export function readProperty(property: Property, around: Surroundings): Entry[] {
  const { key, source, value } = property;
  if (typeof value === 'object' && value !== null && !isWhole(value)) return readNested(property, around.warn);
  const name = attributeKey([key]);
  const money = readMoneyOf(name, value, around);
  if (money !== undefined) return [{ key: name, source, value: money, kind: 'money' }];
  const plain = readPlain(name, value, around.warn);
  return plain === undefined ? [] : [{ ...plain, source, kind: kindOf(plain) }];
}

function readNested({ key, source, value }: Property, warn: Warn): Entry[] {
  return flatten(key, value, isWhole).flatMap((leaf): Entry[] => {
    const entry = readPlain(attributeKey(leaf.path), leaf.value, warn);
    return entry === undefined ? [] : [{ ...entry, source: [source, ...leaf.path.slice(1)].join('.'), kind: 'nested' }];
  });
}

function readMoneyOf(
  key: string,
  value: unknown,
  { isCommerce, currency, warn }: Surroundings,
): MetadataValue | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  if (!isMoneyKey(squash(key), isCommerce || currency !== undefined)) return undefined;
  const amount = readMoney(key, value, currency, warn);
  return typeof amount === 'string' ? fitText(amount, key, warn) : amount;
}

function readPlain(key: string, value: unknown, warn: Warn): Pick<Entry, 'key' | 'value'> | undefined {
  if (isRichLink(value))
    return { key, value: { url: fitText(value.url, key, warn), value: fitText(value.value, key, warn) } };
  if (isMonetary(value)) {
    const amount = readMonetary(key, value, warn);
    return amount === undefined ? undefined : { key, value: amount };
  }
  const scalar = readScalar(value);
  if (scalar === undefined) return undefined;
  // Intercom lists texts, numbers, dates, links and amounts for metadata, and no booleans.
  if (typeof scalar === 'boolean') return { key, value: String(scalar) };
  const seconds = key.endsWith('_date')
    ? dateSeconds(scalar)
    : typeof scalar === 'string'
      ? isoSeconds(scalar)
      : undefined;
  if (seconds !== undefined) return { key: dateKey(key), value: seconds };
  return { key, value: typeof scalar === 'string' ? fitText(scalar, key, warn) : scalar };
}

function kindOf({ key, value }: Pick<Entry, 'key' | 'value'>): Entry['kind'] {
  if (typeof value === 'object' && 'amount' in value) return 'money';
  if (key === 'currency') return 'currency';
  // The products are a list, though as a summary they are a text already.
  return key === 'products' ? 'nested' : 'plain';
}

function isWhole(value: object): boolean {
  return isRichLink(value) || isMonetary(value);
}

function isRichLink(value: unknown): value is RichLink {
  if (typeof value !== 'object' || value === null || !('url' in value && 'value' in value)) return false;
  const { url, value: label } = value;
  return (
    Object.keys(value).length === 2 &&
    typeof url === 'string' &&
    /^https?:\/\//i.test(url) &&
    typeof label === 'string' &&
    label !== ''
  );
}

/** Intercom takes a number for a date where its key ends in `_date`: created_at and createdAt become created_date. */
function dateKey(key: string): string {
  const stem = key.replace(/(?<=.)(?:[_ -](?:at|on|date|At|On|Date)|(?<=[a-z\d])(?:At|On|Date))$/, '');
  return `${cut(stem, longestKey - '_date'.length)}_date`;
}
