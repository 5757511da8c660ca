import { asObject } from '../ingest/event.ts';

export type Leaf = { path: readonly string[]; value: unknown };

const deepest = 3;

/**
 * The values of a nested object with the path to each: Intercom takes no nesting. What lies deeper than three keys,
 * and what `isWhole` claims, stays one value.
 */
export function flatten(key: string, value: unknown, isWhole: (value: object) => boolean = () => false): Leaf[] {
  return collect([key], value, isWhole, []);
}

function collect(path: readonly string[], value: unknown, isWhole: (value: object) => boolean, leaves: Leaf[]): Leaf[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || path.length >= deepest || isWhole(value)) {
    leaves.push({ path, value });
    return leaves;
  }
  for (const [key, inner] of Object.entries(value)) collect([...path, key], inner, isWhole, leaves);
  return leaves;
}

/** The value at a dotted path, such as `order.total` or `products.0.name`. */
export function dig(object: Record<string, unknown>, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => {
    const holder = Array.isArray(value) ? Object.fromEntries(value.entries()) : asObject(value);
    return Object.hasOwn(holder, key) ? holder[key] : undefined;
  }, object);
}
