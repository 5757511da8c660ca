/**
 * An amount as decimal text, such as `-129.99` or `1e-7`; `undefined` if it is none. Reads numbers, and texts as shops
 * and pixels write them: `129.99`, `1,299.00`, `1.299,00`, `$129.99`, `129,99 €`, `USD 5`.
 *
 * A lone comma before exactly three digits (`1,299`) separates thousands, save in currencies with three decimals, where
 * nobody can tell; a lone point is always the decimal point, as JavaScript prints it.
 */
export function readDecimal(value: unknown, currency?: { code: string; decimals: number }): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : undefined;
  if (typeof value !== 'string' || value.length > 40) return undefined;
  const match = written.exec(value.trim());
  if (!match?.groups) return undefined;
  const { before = '', minus = '', after = '' } = match.groups;
  if (![before, after].every((code) => code === '' || code.toUpperCase() === currency?.code)) return undefined;
  const digits = plainDigits(match.groups['digits']!.replace(/[\s'’]/g, ''), currency?.decimals === 3);
  return digits === undefined ? undefined : `${minus === '' ? '' : '-'}${digits}`;
}

const written = new RegExp(
  [
    '^(?<before>[A-Za-z]{3})?',
    '(?:[A-Za-z]{0,2}\\p{Sc})?', // $, US$, R$
    '(?<minus>[-−])?',
    '\\p{Sc}?',
    "(?<digits>\\d[\\d.,\\s'’]*(?:e[+-]?\\d{1,4})?|\\.\\d+)",
    '\\p{Sc}?',
    '(?<after>[A-Za-z]{3})?$',
  ].join('\\s*'),
  'u',
);

function plainDigits(text: string, commaIsUnclear: boolean): string | undefined {
  if (/^(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/.test(text)) return text.startsWith('.') ? `0${text}` : text;
  if (/^[1-9]\d{0,2},\d{3}$/.test(text) && commaIsUnclear) return undefined;
  if (/^[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}(?:\.\d*)?$/.test(text)) return text.replaceAll(',', '');
  if (/^[1-9]\d{0,2}(?:\.\d{3})+,\d*$/.test(text) || /^[1-9]\d{0,2}(?:\.\d{3}){2,}$/.test(text)) {
    return text.replaceAll('.', '').replace(',', '.');
  }
  return /^\d+,\d*$/.test(text) ? text.replace(',', '.') : undefined;
}

/**
 * The amount in the smallest unit of its currency, rounded half up. Shifts the decimal point in the text, since floats
 * cannot: 19.99 * 100 is 1998.9999999999998, and 1.005 * 100 rounds down. `undefined` if negative or beyond 2^53.
 */
export function minorUnits(decimal: string, decimals: number): number | undefined {
  const match = /^0*(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/.exec(decimal);
  if (!match) return undefined;
  const [, whole = '', fraction = '', exponent = '0'] = match;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent) + decimals;
  if (/^0*$/.test(digits) || point < 0) return 0;
  if (point > digits.length + 16) return undefined;
  const kept = Number(digits.slice(0, point).padEnd(point, '0') || '0');
  const amount = kept + ((digits[point] ?? '0') >= '5' ? 1 : 0);
  return Number.isSafeInteger(amount) ? amount : undefined;
}
