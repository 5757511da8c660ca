import t from 'tap';
import { parseEvent, type SignalEvent } from '../src/ingest/event.ts';
import {
  attributeKey,
  cut,
  cutText,
  dateSeconds,
  fitText,
  isoSeconds,
  readScalar,
  readText,
} from '../src/intercom/attribute-value.ts';
import { readCurrency } from '../src/intercom/currency.ts';
import { knownEvent, pageEvent } from '../src/intercom/event-catalog.ts';
import { dig, flatten } from '../src/intercom/flatten.ts';
import { mapEvent } from '../src/intercom/mapping.ts';
import { noRules } from '../src/intercom/mapping-rules.ts';
import { isMonetary, isMoneyKey, readMonetary, readMoney } from '../src/intercom/monetary-amount.ts';
import { readProperty } from '../src/intercom/metadata-value.ts';
import { minorUnits, readDecimal } from '../src/intercom/money.ts';
import { readPhone } from '../src/intercom/phone.ts';
import { summariseLines } from '../src/intercom/product-lines.ts';
import { squash } from '../src/intercom/spelling.ts';
import { unifyProperties } from '../src/intercom/unified-property.ts';
import { collectWarnings, listNames } from '../src/intercom/warning.ts';

// The rules for single values, as tables; test/fixtures/mapping has whole events.

const usd = { code: 'USD', decimals: 2 };
const kwd = { code: 'KWD', decimals: 3 };

t.test('amounts as people and machines write them', async (t) => {
  const rows: [written: unknown, decimal: string | undefined][] = [
    [5, '5'],
    [-1.5, '-1.5'],
    [1e21, '1e+21'],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [true, undefined],
    [null, undefined],
    ['', undefined],
    ['free', undefined],
    [' 129.99 ', '129.99'],
    ['129.', '129.'],
    ['.5', '0.5'],
    ['.555', '0.555'],
    ['-.5', '-0.5'],
    ['1e3', '1e3'],
    ['1e+12', '1e+12'],
    ['2.5e-10', '2.5e-10'],
    ['1e', undefined],
    ['1e12345', undefined],
    ['0012.50', '0012.50'],
    ['1,299', '1299'],
    ['12,345', '12345'],
    ['123,456', '123456'],
    ['1234,567', '1234.567'],
    ['0,299', '0.299'],
    ['1,299.00', '1299.00'],
    ['1,299.', '1299.'],
    ['12,34,567.5', '1234567.5'],
    ['1,234,567', '1234567'],
    ['1,2,345', undefined],
    ['1,299.00.5', undefined],
    ['1.299,00', '1299.00'],
    ['1.299,', '1299.'],
    ['12.345.678,9', '12345678.9'],
    ['1.234.567', '1234567'],
    ['12.345.678', '12345678'],
    ['0.234.567', undefined],
    ['1.23.456', undefined],
    ['1.299,00,5', undefined],
    ['1299,00', '1299.00'],
    ['5,', '5.'],
    ['12,5x', undefined],
    ["1'000.10", '1000.10'],
    ['1’000', '1000'],
    ['1 299,50', '1299.50'],
    ['$129.99', '129.99'],
    ['$ 129.99', '129.99'],
    ['US$129.99', '129.99'],
    ['129,99 €', '129.99'],
    ['-$5', '-5'],
    ['$-5', '-5'],
    ['−5', '-5'],
    ['USD 5', '5'],
    ['usd5', '5'],
    ['5 USD', '5'],
    ['5usd', '5'],
    ['EUR 5', undefined],
    ['5 EUR', undefined],
    ['USD 5 EUR', undefined],
    ['5 USD each', undefined],
    ['about 5', undefined],
    ['9'.repeat(40), '9'.repeat(40)],
    ['9'.repeat(41), undefined],
  ];
  for (const [written, decimal] of rows) t.equal(readDecimal(written, usd), decimal, JSON.stringify(written));
  t.equal(readDecimal('5 USD'), undefined, 'a code without a currency to be held against');
  t.equal(readDecimal('1,299', kwd), undefined, 'nobody can tell');
  t.equal(readDecimal('1,29', kwd), '1.29');
  t.equal(readDecimal('1,299.5', kwd), '1299.5');
  t.equal(readDecimal('0,299', kwd), '0.299');
  t.equal(readDecimal('1234,567', kwd), '1234.567');
});

t.test('an amount in the smallest unit is exact, and rounded half up', async (t) => {
  const rows: [decimal: string, decimals: number, amount: number | undefined][] = [
    ['19.99', 2, 1999],
    ['1.005', 2, 101],
    ['1.0049', 2, 100],
    ['0', 2, 0],
    ['000', 2, 0],
    ['0.004', 2, 0],
    ['0.005', 2, 1],
    ['0.05', 0, 0],
    ['0.5', 0, 1],
    ['5', 0, 5],
    ['5', 2, 500],
    ['007', 2, 700],
    ['5.', 2, 500],
    ['.5', 2, 50],
    ['1.5', 3, 1500],
    ['1e3', 2, 100_000],
    ['1.5e+2', 0, 150],
    ['1e10', 0, 10_000_000_000],
    ['5e-3', 2, 1],
    ['4e-3', 2, 0],
    ['9e-4', 2, 0],
    ['5e-9999', 2, 0],
    ['0e9999', 2, 0],
    ['1e9999', 2, undefined],
    ['1e15', 0, 1_000_000_000_000_000],
    ['1e16', 0, undefined],
    ['9007199254740991', 0, 9_007_199_254_740_991],
    ['9007199254740992', 0, undefined],
    ['90071992547409.91', 2, 9_007_199_254_740_991],
    ['-5', 2, undefined],
    ['x5', 2, undefined],
    ['5x', 2, undefined],
    ['5e1x', 2, undefined],
  ];
  for (const [decimal, decimals, amount] of rows) t.equal(minorUnits(decimal, decimals), amount, decimal);
});

t.test('which keys hold money', async (t) => {
  for (const key of ['revenue', 'price', 'arr', 'mrr', 'cartvalue', 'taxamount']) t.ok(isMoneyKey(key, false), key);
  for (const key of ['value', 'total', 'amount', 'tax', 'shipping', 'discount', 'fee']) {
    t.ok(isMoneyKey(key, true), `${key} of an order`);
    t.notOk(isMoneyKey(key, false), `${key} of anything`);
  }
  t.notOk(isMoneyKey('', true));
  t.notOk(isMoneyKey('quantity', true));
});

t.test('money under a key: an amount, or what Intercom can hold of it, with the reason', async (t) => {
  const read = (value: string | number, currency: typeof usd | undefined) => {
    const { warnings, warn } = collectWarnings();
    return [readMoney('fee', value, currency, warn), warnings.map(({ code }) => code).join()];
  };
  t.strictSame(read(5, usd), [{ amount: 500, currency: 'usd' }, '']);
  t.strictSame(read(5, undefined), [5, '']);
  t.strictSame(read('5', undefined), [5, '']);
  t.strictSame(read(0, usd), [{ amount: 0, currency: 'usd' }, '']);
  t.strictSame(read('-0', usd), [{ amount: 0, currency: 'usd' }, '']);
  t.strictSame(read(-5, usd), [-5, 'amount_negative']);
  t.strictSame(read('free', usd), ['free', '']);
  t.strictSame(read('5 or 6', usd), ['5 or 6', 'amount_unreadable']);
  t.strictSame(read('1e999', usd), ['1e999', 'amount_unreadable']);
  t.strictSame(read(1e20, usd), [1e20, 'amount_unreadable']);
  t.strictSame(read('  ', usd), [undefined, '']);
  t.strictSame(read(Number.NaN, usd), [undefined, '']);
});

t.test('an object that is an amount: cents where it is a whole number, major units else', async (t) => {
  const none: unknown[] = [
    null,
    'x',
    {},
    { amount: 5 },
    { currency: 'USD' },
    { amount: 5, currency: 'XXX' },
    { amount: 5, currency: 5 },
    { amount: true, currency: 'USD' },
    { amount: 5, currency: 'USD', tax: 1 },
  ];
  for (const value of none) t.notOk(isMonetary(value), JSON.stringify(value));
  const read = (amount: number | string, currency = 'usd') => {
    const value = { amount, currency };
    t.ok(isMonetary(value));
    return readMonetary('price', value, () => {});
  };
  t.strictSame(read(2990), { amount: 2990, currency: 'usd' });
  t.strictSame(read(0), { amount: 0, currency: 'usd' });
  t.strictSame(read('2990'), { amount: 299_000, currency: 'usd' });
  t.strictSame(read('29.90', ' EUR '), { amount: 2990, currency: 'eur' });
  t.strictSame(read(29.9), { amount: 2990, currency: 'usd' });
  t.strictSame(read(-1), -1);
  t.strictSame(read(2 ** 53), 2 ** 53);
});

t.test('currencies have the decimals of ISO 4217', async (t) => {
  const decimals: [string, number][] = [
    ['usd', 2],
    [' EUR ', 2],
    ['JPY', 0],
    ['XPF', 0],
    ['KWD', 3],
    ['TND', 3],
    ['CLF', 4],
    ['UYW', 4],
    ['ZWL', 2],
    ['AED', 2],
  ];
  for (const [code, count] of decimals)
    t.strictSame(readCurrency(code), { code: code.trim().toUpperCase(), decimals: count });
  for (const none of ['', 'US', 'XXX', 'US D', 5, null]) t.equal(readCurrency(none), undefined, JSON.stringify(none));
});

t.test('phones as E.164', async (t) => {
  const rows: [text: string, country: string | undefined, e164: string | undefined][] = [
    ['+1 415 555 2671', undefined, '+14155552671'],
    ['tel:+14155552671', undefined, '+14155552671'],
    ['TEL:+1-415-555-2671', undefined, '+14155552671'],
    ['0049 30 901820', undefined, '+4930901820'],
    ['  0049 30 901820', undefined, '+4930901820'],
    ['030 901820', 'DE', '+4930901820'],
    ['030 901820', undefined, undefined],
    ['030 901820', 'XX', undefined],
    ['(415) 555-2671', 'US', '+14155552671'],
    ['415 555 0049 1', 'US', undefined],
    ['+1 415 555 2671', 'DE', '+14155552671'],
    ['call +1 415 555 2671', undefined, undefined],
    ['+1 415', undefined, undefined],
    [`+1 415 555 2671${' '.repeat(25)}`, undefined, '+14155552671'],
    [`+1 415 555 2671${' '.repeat(26)}`, undefined, undefined],
  ];
  for (const [text, country, e164] of rows) {
    t.equal(readPhone(text, country), e164, `${text} in ${country}`);
    t.equal(readPhone(text, country), e164, 'and so the next time');
  }
});

t.test('a list of products is what an agent can read', async (t) => {
  const rows: [lines: unknown[], summary: string | undefined][] = [
    [[], undefined],
    [[null, {}, { quantity: 2 }], undefined],
    [['Shirt'], 'Shirt'],
    [['Shirt', 7], 'Shirt, 7'],
    [[{ name: 'Shirt', quantity: 2 }, { title: 'Cap' }], '2 × Shirt, 1 × Cap'],
    [[{ product_name: 'A' }, { productName: 'B' }, { item_name: 'C' }], '1 × A, 1 × B, 1 × C'],
    [
      [{ sku: 'A' }, { product_id: 'B' }, { productId: 'C' }, { item_id: 'D' }, { id: 5 }],
      '1 × A, 1 × B, 1 × C, 1 × D, 1 × 5',
    ],
    [[{ id: 1, name: 'A' }], '1 × A'],
    [[{ name: '', sku: 'S' }], '1 × S'],
    [
      [
        { name: 'A', qty: '12' },
        { name: 'B', quantity: 1.25 },
      ],
      '12 × A, 1.25 × B',
    ],
    [
      [
        { name: 'A', quantity: 'two' },
        { name: 'B', quantity: -1 },
        { name: 'C', quantity: '1x' },
      ],
      '1 × A, 1 × B, 1 × C',
    ],
    [['x'.repeat(255)], 'x'.repeat(255)],
    [['x'.repeat(256)], `${'x'.repeat(254)}…`],
    [['x'.repeat(244), 'y'], `${'x'.repeat(244)}, y`],
    [['x'.repeat(252), 'y'], `${'x'.repeat(243)}… and 1 more`],
    [['a', 'x'.repeat(252)], `a, ${'x'.repeat(252)}`],
    [['a', 'x'.repeat(253)], 'a and 1 more'],
    [['a', 'x'.repeat(250), 'b', 'c'], 'a and 3 more'],
  ];
  for (const [lines, summary] of rows) t.equal(summariseLines(lines), summary, JSON.stringify(lines).slice(0, 80));
});

t.test('values as Intercom can hold them', async (t) => {
  const rows: [raw: unknown, scalar: unknown][] = [
    ['x', 'x'],
    ['  x ', 'x'],
    ['', undefined],
    ['a\0b', 'ab'],
    ['\ud83d', '\ufffd'],
    [0, 0],
    [Number.NaN, undefined],
    [false, false],
    [null, undefined],
    [undefined, undefined],
    [[], undefined],
    [[1, 'a', null, false], '1, a, false'],
    [[[1], 'a'], '[[1],"a"]'],
    [[null], undefined],
    [{}, undefined],
    [{ a: 1 }, '{"a":1}'],
  ];
  for (const [raw, scalar] of rows) t.equal(readScalar(raw), scalar, JSON.stringify(raw));
  t.equal(readText(5), '5');
  t.equal(readText(Number.NaN), undefined);
  t.equal(readText(true), undefined);
});

t.test('texts, names and keys are cut where Intercom cuts them, and no emoji in half', async (t) => {
  const fit = (text: string): [string, string] => {
    const { warnings, warn } = collectWarnings();
    return [fitText(text, 'f', warn), warnings.map(({ message }) => message).join()];
  };
  t.strictSame(fit('x'.repeat(255)), ['x'.repeat(255), '']);
  t.match(fit('x'.repeat(256)), [`${'x'.repeat(254)}…`, /longer than 255/]);
  const link = `https://x.example/${'p'.repeat(237)}`;
  t.match(fit(`${link}?utm=1`), [link, /without its query/]);
  t.match(fit(`HTTP://x.example/a#${'f'.repeat(255)}`), ['HTTP://x.example/a', /without its query/]);
  t.match(fit(`${link}p?utm=1`), [/…$/, /was cut/]);
  t.match(fit(`see ${link}?utm=1`), [/…$/, /was cut/]);
  t.equal(cutText('abcd', 3), 'ab…');
  t.equal(cutText('abc', 3), 'abc');
  t.equal(cut('ab👍', 3), 'ab');
  t.equal(cut('ab👍', 4), 'ab👍');
  t.equal(cut('abc', 3), 'abc');
  t.equal(cut('ab\ud800', 3), 'ab');
  t.equal(cut('ab\udbff', 3), 'ab');
  t.equal(cut('ab\udc00', 3), 'ab\udc00');
  t.equal(cut('ab\ud7ff', 3), 'ab\ud7ff');
  t.equal(attributeKey(['a', 'b']), 'a_b');
  t.equal(attributeKey(['a.b$c']), 'a_b_c');
  t.equal(attributeKey([' a\u0007b ']), 'ab');
  t.equal(attributeKey(['\u0007']), '_');
  t.equal(attributeKey(['  ']), '_');
  t.equal(attributeKey(['größe']), 'größe');
  t.equal(attributeKey(['x'.repeat(191)]), 'x'.repeat(190));
  t.equal(attributeKey([`${'x'.repeat(189)} y`]), 'x'.repeat(189));
});

t.test('dates as Unix seconds', async (t) => {
  const at = Date.UTC(2026, 1, 25) / 1000;
  const iso: [text: string, seconds: number | undefined][] = [
    ['2026-02-25', at],
    ['2026-02-25T00:00:00Z', at],
    ['2026-02-25T00:00:00.999Z', at],
    ['1950-01-02', Date.UTC(1950, 0, 2) / 1000],
    ['1950-01-02T03:04Z', Date.UTC(1950, 0, 2, 3, 4) / 1000],
    ['1950-01-02T03:04:05.25Z', Date.UTC(1950, 0, 2, 3, 4, 5) / 1000],
    ['1950-01-02T03:04', undefined],
    ['1950-13-02', undefined],
    ['on 1950-01-02', undefined],
    ['1950-01-02 and more', undefined],
    ['2026', undefined],
    ['20260225', undefined],
  ];
  for (const [text, seconds] of iso) t.equal(isoSeconds(text), seconds, text);
  const dates: [value: string | number | boolean, seconds: number | undefined][] = [
    [1e11 - 1, undefined],
    [1e11, 1e8],
    [1_772_029_800_999, 1_772_029_800],
    [1e14, undefined],
    ['1772029800', 1_772_029_800],
    ['1772029800999', 1_772_029_800],
    ['17720298009', undefined],
    ['x1772029800', undefined],
    ['1772029800x', undefined],
    ['x1772029800999', undefined],
    ['1772029800999x', undefined],
    ['2026-02-25', at],
    ['soon', undefined],
    [true, undefined],
  ];
  for (const [value, seconds] of dates) t.equal(dateSeconds(value), seconds, String(value));
});

t.test('nested values have paths of at most three keys', async (t) => {
  const leaves = flatten('a', { b: { c: { d: 1 } }, e: [1], f: null });
  t.strictSame(leaves, [
    { path: ['a', 'b', 'c'], value: { d: 1 } },
    { path: ['a', 'e'], value: [1] },
    { path: ['a', 'f'], value: null },
  ]);
  t.strictSame(flatten('a', {}), []);
  const whole = { amount: 1 };
  t.strictSame(
    flatten('a', { b: whole }, (value) => value === whole),
    [{ path: ['a', 'b'], value: whole }],
  );
  const order = { total: 5, lines: [{ name: 'x' }] };
  t.equal(dig({ order }, ['order', 'total']), 5);
  t.equal(dig({ order }, ['order', 'lines', '0', 'name']), 'x');
  t.equal(dig({ order }, ['order', 'lines', '1', 'name']), undefined);
  t.equal(dig({ order }, ['order', 'toString']), undefined);
  t.equal(dig({ order }, ['order', 'lines', 'length']), undefined);
});

t.test('the catalogue knows the events of three vocabularies, and what counts most in each', async (t) => {
  for (const name of ['order_completed', 'purchase', 'order_updated', 'order_refunded', 'refund', 'order_cancelled'])
    t.ok(knownEvent(name).isOrder, name);
  for (const name of ['product_viewed', 'begin_checkout', 'view_cart', 'nothing_known'])
    t.notOk(knownEvent(name).isOrder, name);
  t.notOk(pageEvent.isOrder);
  const rank = (name: string, key: string) => knownEvent(name).ranks.get(squash(key));
  t.equal(rank('purchase', 'value'), 0);
  t.equal(rank('checkout_started', 'order_id'), 5);
  t.equal(rank('add_to_wishlist', 'price'), 0);
  t.equal(rank('application_opened', 'from_background'), 4);
  t.equal(rank('purchase', ''), undefined);
  t.equal(rank('nothing_known', 'value'), undefined);
  t.strictSame([...pageEvent.ranks.keys()], ['url', 'title', 'path', 'referrer', 'name', 'search']);
});

t.test('a message names at most a hundred', async (t) => {
  const names = Array.from({ length: 102 }, (_, n) => `n${n}`);
  t.equal(listNames(names.slice(0, 2)), 'n0, n1');
  t.equal(listNames(names.slice(0, 100)), names.slice(0, 100).join(', '));
  t.equal(listNames(names), `${names.slice(0, 100).join(', ')} and 2 more`);
});

t.test('a group without a groupId, and a track without a name, are dropped with what to do', async (t) => {
  const empty: SignalEvent = {
    type: 'group',
    name: undefined,
    userId: 'u',
    email: undefined,
    anonymousId: undefined,
    groupId: undefined,
    messageId: undefined,
    atMs: undefined,
    properties: {},
    traits: {},
    context: {},
    consent: undefined,
  };
  const options = { eventNaming: 'preserve' as const, rules: noRules };
  t.match(mapEvent(empty, options), {
    kind: 'dropped',
    warnings: [{ code: 'group_id_missing', message: /send groupId/, field: 'groupId' }],
  });
  t.match(mapEvent({ ...empty, type: 'track' }, options), {
    kind: 'dropped',
    warnings: [{ code: 'event_name_empty' }],
  });
});

t.test('a link with its text is one value; whatever else has these keys is nested', async (t) => {
  const around = { isCommerce: false, currency: undefined, warn: () => {} };
  const read = (value: unknown) =>
    Object.fromEntries(readProperty({ key: 'link', source: 'link', value }, around).map((one) => [one.key, one.value]));
  for (const url of ['https://x.example', 'http://x.example', 'HTTPS://x.example'])
    t.strictSame(read({ url, value: 'X' }), { link: { url, value: 'X' } }, url);
  const url = 'https://x.example';
  t.strictSame(read({ url: 'ftp://x.example', value: 'X' }), { link_url: 'ftp://x.example', link_value: 'X' });
  t.strictSame(read({ url: `see ${url}`, value: 'X' }), { link_url: `see ${url}`, link_value: 'X' });
  t.strictSame(read({ url: 5, value: 'X' }), { link_url: 5, link_value: 'X' });
  t.strictSame(read({ url: [url], value: 'X' }), { link_url: url, link_value: 'X' });
  t.strictSame(read({ url, value: 5 }), { link_url: url, link_value: 5 });
  t.strictSame(read({ url, value: '' }), { link_url: url });
  t.strictSame(read({ url, value: 'X', more: 1 }), { link_url: url, link_value: 'X', link_more: 1 });
  t.strictSame(read({ url, text: 'X' }), { link_url: url, link_text: 'X' });
  t.strictSame(read({ value: 'X', text: 'Y' }), { link_value: 'X', link_text: 'Y' });
  t.strictSame(read(null), {});
});

t.test('facts that are spelled in several ways come under one key', async (t) => {
  const unify = (properties: Record<string, unknown>, isOrder = true) => {
    const { warnings, warn } = collectWarnings();
    const pairs = unifyProperties(properties, isOrder, warn).map(({ key, value }) => [key, value]);
    return [pairs, warnings.map(({ code }) => code).join()];
  };
  t.strictSame(unify({}), [[], '']);
  t.strictSame(unify({ total: 5 }, false), [[['total', 5]], '']);
  t.strictSame(unify({ total: null, Total: 5 }), [
    [
      ['total', null],
      ['value', 5],
    ],
    '',
  ]);
  t.strictSame(unify({ total: '', Total: 5, TOTAL: 6 }), [
    [
      ['total', ''],
      ['value', 5],
      ['TOTAL', 6],
    ],
    '',
  ]);
  t.strictSame(unify({ total: 'n/a', revenue: 10 }), [
    [
      ['total', 'n/a'],
      ['value', 10],
    ],
    '',
  ]);
  const price = { amount: 500, currency: 'USD' };
  t.strictSame(unify({ total: 'n/a', revenue: price }), [
    [
      ['total', 'n/a'],
      ['value', price],
    ],
    '',
  ]);
  t.strictSame(unify({ total: 'n/a' }), [[['value', 'n/a']], '']);
  t.strictSame(unify({ total: 'a', value: 'a' }), [[['value', 'a']], 'amount_conflict'], 'texts are no amounts');
  t.strictSame(unify({ total: 5, value: 'a' }), [[['value', 5]], 'amount_conflict']);
  t.strictSame(unify({ total: 5, value: '5.00', revenue: 4 }), [
    [
      ['value', 5],
      ['revenue', 4],
    ],
    '',
  ]);
  t.strictSame(unify({ orderId: 1, transaction_id: '1' }), [[['order_id', '1']], '']);
  t.strictSame(unify({ orderId: 1, transaction_id: 2 }), [
    [
      ['order_id', '1'],
      ['transaction_id', 2],
    ],
    '',
  ]);
  t.strictSame(unify({ transaction_id: 2 }), [[['order_id', '2']], '']);
  t.strictSame(unify({ transaction_id: 2 }, false), [[['transaction_id', 2]], '']);
  t.strictSame(unify({ currencyCode: 'usd' }), [[['currency', 'USD']], '']);
  t.strictSame(unify({ currency: 'coins' }), [[['currency', 'coins']], '']);
  t.strictSame(unify({ products: ['a', '', null] }), [
    [
      ['products', 'a'],
      ['product_count', 1],
    ],
    '',
  ]);
  t.strictSame(unify({ items: ['a'], products: ['b', 'c'] }), [
    [
      ['products', 'b, c'],
      ['product_count', 2],
    ],
    '',
  ]);
  t.strictSame(unify({ products: ['a'], productCount: 7 }), [
    [
      ['products', 'a'],
      ['productCount', 7],
    ],
    '',
  ]);
  t.strictSame(unify({ products: 'a' }), [[['products', 'a']], '']);
});

t.test('what a person is like, trait by trait', async (t) => {
  const identify = (traits: object, context: object = {}) => {
    const { mapped, warnings } = map({ type: 'identify', traits, context });
    return [mapped, warnings];
  };
  function map(part: object): { mapped: object; warnings: string } {
    const parsed = parseEvent({ userId: 'u', ...part });
    if (!parsed.ok) throw new Error('not parsed');
    const mapped = mapEvent(parsed.event, { eventNaming: 'preserve', rules: noRules });
    const warnings = mapped.warnings.map(({ code }) => code).join();
    return { mapped: mapped.kind === 'contact' ? { ...mapped.contact, ...mapped.customAttributes } : {}, warnings };
  }
  const avatar = (length: number) => `https://x.example/${'a'.repeat(length - 18)}`;
  const phone = '030 901820';
  const rows: [traits: object, contact: object, warnings?: string, context?: object][] = [
    [{}, {}],
    [{ plan: null, size: '', seats: 0 }, { seats: 0 }],
    [
      { firstName: 'A', first_name: 'B', surname: 'C' },
      { name: 'A C', first_name: 'B' },
    ],
    [{ name: null, fullName: 'A B' }, { name: 'A B' }],
    [{ mobilePhone: '+14155552671' }, { phone: '+14155552671' }],
    [{ telephone: '+14155552671' }, { phone: '+14155552671' }],
    [{ unsubscribed_from_emails: true }, { unsubscribed_from_emails: true }],
    [{ unsubscribed_from_emails: 'true' }, { unsubscribed_from_emails: true }],
    [{ unsubscribed_from_emails: false }, { unsubscribed_from_emails: false }],
    [{ unsubscribed_from_emails: 'false' }, { unsubscribed_from_emails: false }],
    [{ unsubscribed_from_emails: 'no' }, {}, 'boolean_unreadable'],
    [{ owner_id: 5 }, { owner_id: 5 }],
    [{ owner_id: '1234567890123456' }, { owner_id: 1_234_567_890_123_456 }],
    [{ owner_id: '05' }, { owner_id: '05' }],
    [{ owner_id: 'x5' }, { owner_id: 'x5' }],
    [{ owner_id: '5x' }, { owner_id: '5x' }],
    [{ ownerId: 7 }, { ownerId: 7 }],
    [
      { ownerId: 7, owner_id: 5 },
      { ownerId: 7, owner_id: 5 },
    ],
    [{ avatar: avatar(2048) }, { avatar: avatar(2048) }],
    [{ avatar: avatar(2049) }, {}, 'avatar_invalid'],
    [{ avatar: 'http://x.example/a.png' }, { avatar: 'http://x.example/a.png' }],
    [{ avatar: { url: 'HTTPS://x.example/a.png' } }, { avatar: 'HTTPS://x.example/a.png' }],
    [{ avatar: { image_url: 'https://x.example/a.png' } }, { avatar: 'https://x.example/a.png' }],
    [{ avatar: 'ftp://x.example/http://a.png' }, {}, 'avatar_invalid'],
    [{ avatar: 'https://' }, {}, 'avatar_invalid'],
    [{ avatar: {} }, {}, 'avatar_invalid'],
    [{ phone }, {}, 'phone_invalid'],
    [{ phone }, { phone: '+4930901820' }, '', { locale: 'de-DE' }],
    [{ phone }, {}, 'phone_invalid', { locale: 'x-DE-formal' }],
    [{ phone }, {}, 'phone_invalid', { locale: 5 }],
    [
      { phone, country: ' de ' },
      { phone: '+4930901820', country: 'de' },
    ],
    [{ phone, country: 'Germany' }, { country: 'Germany' }, 'phone_invalid'],
    [
      { phone, country: 'Germany', countryCode: 'DE' },
      { phone: '+4930901820', country: 'Germany', countryCode: 'DE' },
    ],
    [{ phone, country: 'DEU' }, { country: 'DEU' }, 'phone_invalid'],
    [
      { renewed_on: '2026-02-25', day_on_site: '2026-02-25' },
      { renewed_on: 1_771_977_600, day_on_site: '2026-02-25' },
    ],
    [
      { lastAt: '2026-02-25', FLAT: '2026-02-25', '-At': '2026-02-25' },
      { lastAt: 1_771_977_600, FLAT: '2026-02-25', '-At': '2026-02-25' },
    ],
  ];
  for (const [traits, contact, warnings = '', context] of rows)
    t.strictSame(identify(traits, context), [contact, warnings], JSON.stringify(traits).slice(0, 80));
});
