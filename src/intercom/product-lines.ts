import { asObject } from '../ingest/event.ts';
import { cutText, longestText, readText } from './attribute-value.ts';

const labels = [
  'name',
  'product_name',
  'productName',
  'item_name',
  'title',
  'sku',
  'product_id',
  'productId',
  'item_id',
  'id',
];

/**
 * `2 × Blue Shirt, 1 × Cap`: what an agent wants to read, since Intercom takes no lists. Lines that do not fit are
 * counted at the end.
 */
export function summariseLines(lines: readonly unknown[]): string | undefined {
  const texts = lines.map(lineText).filter((text) => text !== undefined);
  let summary = '';
  for (const [index, text] of texts.entries()) {
    const longer = summary === '' ? text : `${summary}, ${text}`;
    const tail = andMore(texts.length - index - 1);
    if (longer.length + tail.length > longestText) {
      if (index === 0) return cutText(text, longestText - tail.length) + tail;
      return summary + andMore(texts.length - index);
    }
    summary = longer;
  }
  return summary === '' ? undefined : summary;
}

function andMore(count: number): string {
  return count === 0 ? '' : ` and ${count} more`;
}

function lineText(line: unknown): string | undefined {
  const plain = readText(line);
  if (plain !== undefined) return plain;
  const product = asObject(line);
  for (const key of labels) {
    const label = readText(product[key]);
    if (label !== undefined) return `${quantity(product)} × ${label}`;
  }
  return undefined;
}

function quantity(product: Record<string, unknown>): string {
  const count = readText(product.quantity) ?? readText(product.qty);
  return count !== undefined && /^\d+(\.\d+)?$/.test(count) ? count : '1';
}
