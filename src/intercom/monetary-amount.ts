import { readText } from './attribute-value.ts';
import { readCurrency, type Currency } from './currency.ts';
import { minorUnits, readDecimal } from './money.ts';
import type { Warn } from './warning.ts';

/** Intercom's monetary type: `amount` in the smallest unit of the currency. */
export type Monetary = { amount: number; currency: string };

const surelyMoney = new Set(
  `revenue totalrevenue price unitprice listprice saleprice originalprice totalprice subtotal totalamount grandtotal
   carttotal cartvalue ordertotal ordervalue discountamount taxamount shippingcost refundamount mrr arr`.split(/\s+/),
);
const perhapsMoney = new Set(['value', 'total', 'amount', 'tax', 'shipping', 'discount', 'fee']);

/** Whether the key, in its squashed spelling, holds money: in an unknown event, `value` may count anything. */
export function isMoneyKey(spelling: string, isInCommerce: boolean): boolean {
  return surelyMoney.has(spelling) || (isInCommerce && perhapsMoney.has(spelling));
}

/** An amount, or the plain number or text where Intercom's monetary type cannot hold it; `undefined` for none. */
export function readMoney(
  key: string,
  value: string | number,
  currency: Currency | undefined,
  warn: Warn,
): Monetary | number | string | undefined {
  const text = readText(value);
  if (text === undefined) return undefined;
  const decimal = readDecimal(value, currency);
  const plain = decimal === undefined ? NaN : Number(decimal);
  if (decimal === undefined || !Number.isFinite(plain)) {
    // `free` or `express` is no mistyped amount.
    if (/\d/.test(text))
      warn('amount_unreadable', `${key} is no amount and was sent as text: send a number such as 129.99`, key);
    return text;
  }
  if (plain < 0) {
    warn(
      'amount_negative',
      `${key} is negative, which Intercom's amounts cannot be, and was sent as a plain number`,
      key,
    );
    return plain;
  }
  if (currency === undefined) return plain;
  const amount = minorUnits(decimal.replace(/^-/, ''), currency.decimals);
  if (amount === undefined) {
    warn(
      'amount_unreadable',
      `${key} is too large for an amount and was sent as a plain number: send it in major units`,
      key,
    );
    return plain;
  }
  return { amount, currency: currency.code.toLowerCase() };
}

export function isMonetary(value: unknown): value is { amount: number | string; currency: string } {
  if (typeof value !== 'object' || value === null || !('amount' in value && 'currency' in value)) return false;
  const isAmount = typeof value.amount === 'number' || typeof value.amount === 'string';
  return isAmount && readCurrency(value.currency) !== undefined && Object.keys(value).length === 2;
}

/**
 * An amount that comes as an object. A whole number is Intercom's own form, in cents already; a fraction or a text
 * (`"29.90"`) is a price in major units.
 */
export function readMonetary(key: string, value: { amount: number | string; currency: string }, warn: Warn) {
  const currency = readCurrency(value.currency)!;
  if (typeof value.amount === 'number' && Number.isSafeInteger(value.amount) && value.amount >= 0) {
    return { amount: value.amount, currency: currency.code.toLowerCase() };
  }
  return readMoney(key, value.amount, currency, warn);
}
