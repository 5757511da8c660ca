import { readText } from './attribute-value.ts';
import { readCurrency } from './currency.ts';
import { isMonetary } from './monetary-amount.ts';
import { readDecimal } from './money.ts';
import { summariseLines } from './product-lines.ts';
import { squash } from './spelling.ts';
import type { Warn } from './warning.ts';

/** A property under the key that Intercom shall see, and the key that it came under. */
export type Property = { key: string; source: string; value: unknown };

type Properties = Record<string, unknown>;
/** What stands in for the property `source`, and which others it makes superfluous. */
type Unified = { source: string; as: Property[]; absorbs: readonly string[] };

/**
 * The properties, in the order sent, with one key for each fact that Signal's three vocabularies spell in several ways,
 * so that one filter in Intercom finds them all: `value` (an order's amount), `currency`, `order_id`, `products` and
 * `product_count`.
 */
export function unifyProperties(properties: Properties, isOrder: boolean, warn: Warn): Property[] {
  const find = finder(properties);
  const facts = [
    currency(properties, find),
    isOrder ? orderAmount(properties, find, warn) : undefined,
    orderId(properties, find, isOrder),
    productLines(properties, find),
  ];
  const bySource = new Map<string, Property[]>();
  for (const fact of facts) {
    if (fact === undefined) continue;
    bySource.set(fact.source, fact.as);
    for (const source of fact.absorbs) bySource.set(source, []);
  }
  const unified: Property[] = [];
  for (const key of Object.keys(properties)) {
    const as = bySource.get(key);
    if (as === undefined) unified.push({ key, source: key, value: properties[key] });
    else unified.push(...as);
  }
  return unified;
}

type Find = (spelling: string) => string | undefined;

/** Finds the key that carries something, in whatever spelling it came. */
function finder(properties: Properties): Find {
  const keys = new Map<string, string>();
  for (const key of Object.keys(properties)) {
    const spelling = squash(key);
    if (properties[key] !== null && properties[key] !== '' && !keys.has(spelling)) keys.set(spelling, key);
  }
  return (spelling) => keys.get(spelling);
}

function currency(properties: Properties, find: Find): Unified | undefined {
  const source = find('currency') ?? find('currencycode');
  if (source === undefined) return undefined;
  const value = readCurrency(properties[source])?.code ?? properties[source];
  return { source, as: [{ key: 'currency', source, value }], absorbs: [] };
}

/**
 * `value` and `currency` are the keys that Signal documents for Intercom, and GA4's own. `value` is also the one that
 * never means something else beside `total` and `revenue`, which may differ by tax and shipping and then both stay.
 */
function orderAmount(properties: Properties, find: Find, warn: Warn): Unified | undefined {
  const given = [find('total'), find('revenue'), find('value')].filter((key) => key !== undefined);
  const source =
    given.find((key) => readDecimal(properties[key]) !== undefined || isMonetary(properties[key])) ?? given[0];
  if (source === undefined) return undefined;
  const value = properties[source];
  const others = given.filter((key) => key !== source);
  const absorbs = others.filter((key) => sameAmount(properties[key], value));
  const rival = others.find((key) => key === 'value' && !absorbs.includes(key));
  if (rival !== undefined) {
    warn(
      'amount_conflict',
      `${source} is taken as the amount of the order, and ${rival}, which differs, is left out: send one of them`,
      rival,
    );
    absorbs.push(rival);
  }
  return { source, as: [{ key: 'value', source, value }], absorbs };
}

function sameAmount(one: unknown, other: unknown): boolean {
  const [a, b] = [readDecimal(one), readDecimal(other)];
  return a !== undefined && b !== undefined && Number(a) === Number(b);
}

/** Always a text, since one key should have one type in Intercom. */
function orderId(properties: Properties, find: Find, isOrder: boolean): Unified | undefined {
  const transaction = isOrder ? find('transactionid') : undefined;
  const source = find('orderid') ?? transaction;
  if (source === undefined) return undefined;
  const value = readText(properties[source]) ?? properties[source];
  const isRepeated = transaction !== undefined && transaction !== source && readText(properties[transaction]) === value;
  return { source, as: [{ key: 'order_id', source, value }], absorbs: isRepeated ? [transaction] : [] };
}

/** GA4 calls them `items`; who sends both lists means one. */
function productLines(properties: Properties, find: Find): Unified | undefined {
  const lists = ['products', 'items'].filter((key) => Array.isArray(properties[key]));
  const [source, ...absorbs] = lists;
  if (source === undefined) return undefined;
  const lines = (properties[source] as unknown[]).filter((line) => line !== null && line !== '');
  const as: Property[] = [{ key: 'products', source, value: summariseLines(lines) }];
  if (find('productcount') === undefined)
    as.push({ key: 'product_count', source: 'product_count', value: lines.length });
  return { source, as, absorbs };
}
