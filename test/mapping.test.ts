import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import t from 'tap';
import { z } from 'zod';
import { parseEvent, type SignalEvent } from '../src/ingest/event.ts';
import { eventKey, mapEvent, type Mapped, type MetadataValue, type MappingOptions } from '../src/intercom/mapping.ts';
import { noRules, parseMappingRules, ruleFor, type MappingRules } from '../src/intercom/mapping-rules.ts';

const folder = new URL('fixtures/mapping/', import.meta.url);

const Options = z.strictObject({
  eventNaming: z.enum(['preserve', 'snake_case']).default('preserve'),
  rules: z.string().optional(),
});
const Cases = z.array(
  z.strictObject({
    name: z.string().min(1),
    event: z.record(z.string(), z.unknown()),
    options: Options.default({ eventNaming: 'preserve' }),
    expect: z.looseObject({ kind: z.string(), warnings: z.array(z.looseObject({ code: z.string() })) }),
  }),
);

const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
const cases = files.flatMap((file) => {
  const read = Cases.parse(JSON.parse(readFileSync(new URL(file, folder), 'utf8')));
  return read.map((one) => ({ file, ...one }));
});

const plain: MappingOptions = { eventNaming: 'preserve', rules: noRules };

function event(raw: Record<string, unknown>): SignalEvent {
  const parsed = parseEvent(raw);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('; '));
  return parsed.event;
}

function rules(yaml: string): MappingRules {
  const parsed = parseMappingRules(yaml);
  if (!parsed.ok) throw new Error(parsed.problems.join('; '));
  return parsed.rules;
}

function problems(yaml: string): string[] {
  const parsed = parseMappingRules(yaml);
  return parsed.ok ? [] : parsed.problems;
}

function metadataOf(mapped: Mapped): [string, MetadataValue][] {
  return mapped.kind === 'event' ? Object.entries(mapped.metadata) : [];
}

t.test('the fixture files', async (t) => {
  for (const file of files)
    t.ok(
      cases.some((one) => one.file === file),
      `${file} has cases`,
    );
  const names = cases.map(({ name }) => name);
  t.strictSame(
    names.filter((name, index) => names.indexOf(name) !== index),
    [],
    'no two cases share a name',
  );
  t.ok(cases.length >= 75, 'they specify the mapping');
});

for (const { file, name, event: raw, options, expect } of cases) {
  t.test(`${file}: ${name}`, async (t) => {
    const mapped = mapEvent(event(raw), {
      eventNaming: options.eventNaming,
      rules: options.rules === undefined ? noRules : rules(options.rules),
    });
    t.strictSame(mapped, expect);
    t.strictSame(
      JSON.stringify(metadataOf(mapped)),
      JSON.stringify(Object.entries(expect['metadata'] ?? {})),
      'metadata in the same order',
    );
  });
}

t.test('every warning has its remedy in docs/mapping.md, and every remedy its warning', async (t) => {
  const docs = readFileSync(new URL('../docs/mapping.md', import.meta.url), 'utf8');
  const section = docs.slice(docs.indexOf('## Warnings'));
  const documented = [...section.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, code]) => code);
  const group = mapEvent({ ...event({ type: 'group', groupId: 'acme' }), groupId: undefined }, plain);
  t.match(group, { kind: 'dropped' });
  const given = new Set([...cases.flatMap(({ expect }) => expect.warnings), ...group.warnings].map(({ code }) => code));
  t.strictSame(documented.toSorted(), [...given].toSorted());
});

t.test('eventKey is the same for names that Intercom takes for one', async (t) => {
  t.equal(eventKey('Completed.Order'), 'completed-order');
  t.equal(eventKey('completed$order'), eventKey('COMPLETED-ORDER'));
  t.not(eventKey('completed order'), eventKey('completed-order'));
});

t.test('a mapping file that is wrong names each problem with its place', async (t) => {
  const known = 'rename, drop, consent, metadata';
  t.strictSame(problems('events:\n  Product Viewed: { renmae: x, drop: true }'), [
    `events.Product Viewed.renmae: unknown key; known are ${known}`,
  ]);
  t.strictSame(problems('event: {}'), ['event: unknown key; known are events']);
  t.match(problems('events:\n  A: { consent: analytics }\n  B: { metadata: price }'), [
    /^events\.A\.consent: /,
    /^events\.B\.metadata: /,
  ]);
  t.strictSame(problems('events:\n  A:\n'), ['events.A: must be settings such as { drop: true }, or {} for none']);
  t.match(problems(`events: { A: { metadata: [${'abcdefghijk'.split('').join()}] } }`), [
    'events.A.metadata: Intercom keeps 10 keys per event',
  ]);
  t.match(problems('events:\n  Product Viewed: {}\n  product_viewed: {}'), [
    /^events\.product_viewed: there is another rule for the same event/,
  ]);
  t.match(problems('events:\n  "*": { rename: x }'), [/^events\.\*\.rename: /]);
  t.match(problems('events:\n  identify: { metadata: [a] }'), [/^events\.identify\.metadata: /]);
  t.match(problems('events:\n  group: { rename: a, metadata: [a] }'), [
    /^events\.group\.rename: group makes no Intercom event/,
    /^events\.group\.metadata: /,
  ]);
  t.strictSame(problems('events:\n  A: { rename: "", drop: 1, consent: all, metadata: a }'), [
    'events.A.rename: must be a text of 1 to 255 characters',
    'events.A.drop: must be true or false',
    'events.A.consent: must be functional or marketing',
    'events.A.metadata: must be a list such as [price, name]',
  ]);
  t.strictSame(problems(`events:\n  A: { rename: ${'x'.repeat(256)}, metadata: [" "] }`), [
    'events.A.rename: must be a text of 1 to 255 characters',
    'events.A.metadata.0: must be a text of 1 to 255 characters',
  ]);
  t.strictSame(problems(`events:\n  A: { rename: ${'x'.repeat(255)} }`), []);
  t.strictSame(problems('events: all'), ['events: must be events: with the name of an event in each line under it']);
  t.match(problems('events: [\n'), [/line 2/], 'unreadable YAML');
  t.match(problems('just a text'), [/^the file: /]);
  t.match(problems('events: *nowhere'), [/nowhere/]);
  for (const none of ['', '# nothing yet', 'events: {}'])
    t.strictSame(problems(none), [], `${JSON.stringify(none)} is a file without rules`);
});

t.test('a rule is found whatever the spelling of its name, and its own texts are trimmed', async (t) => {
  const file = rules(`events:
  " Page ": { drop: true }
  " PAGE: pricing page": { rename: " Pricing seen " }
  "Track:Signed Up": { metadata: [" plan "] }
  "see page:x": { rename: Odd }
  "???": { rename: Unnamed }
  " ++ ": { rename: Plus }`);
  t.strictSame(ruleFor(file, event({ type: 'page', name: 'Pricing-Page' })), { rename: 'Pricing seen' });
  t.strictSame(ruleFor(file, event({ type: 'page', name: 'Home' })), { drop: true });
  t.strictSame(ruleFor(file, event({ type: 'page' })), { drop: true });
  t.strictSame(ruleFor(file, event({ type: 'track', event: 'signedUp' })), { metadata: ['plan'] });
  t.strictSame(ruleFor(file, event({ type: 'track', event: 'See page: X' })), { rename: 'Odd' });
  t.strictSame(ruleFor(file, event({ type: 'track', event: '???' })), { rename: 'Unnamed' });
  t.strictSame(ruleFor(file, event({ type: 'track', event: '++' })), { rename: 'Plus' });
  t.equal(ruleFor(file, event({ type: 'identify' })), undefined);
});

t.test('rules carry the consent that an event needs', async (t) => {
  const file = rules(
    'events:\n  Order Completed: { consent: marketing }\n  group: { consent: functional }\n  track:page: { drop: true }\n  "*": { consent: marketing }',
  );
  t.strictSame(ruleFor(file, event({ type: 'track', event: 'ORDER_COMPLETED' })), { consent: 'marketing' });
  t.strictSame(ruleFor(file, event({ type: 'group', groupId: 'g' })), { consent: 'functional' });
  t.strictSame(ruleFor(file, event({ type: 'track', event: 'page' })), { drop: true });
  t.strictSame(
    ruleFor(file, event({ type: 'identify', userId: 'u' })),
    { consent: 'marketing' },
    'the rule for all others',
  );
  t.equal(ruleFor(noRules, event({ type: 'page' })), undefined);
});

t.test('the example of docs/mapping.md is a mapping file', async (t) => {
  const docs = readFileSync(new URL('../docs/mapping.md', import.meta.url), 'utf8');
  const [, example = ''] = /```yaml\n(.*?)```/s.exec(docs) ?? [];
  const planned = { type: 'track', event: 'delivery_planned' };
  t.strictSame(ruleFor(rules(example), event(planned)), { metadata: ['delivery.address.city', 'products.0.name'] });
});

t.test('any number of cents is that number of cents', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 40 }), fc.boolean(), (cents, isText) => {
      const value = isText ? (cents / 100).toFixed(2) : cents / 100;
      const mapped = mapEvent(
        event({ type: 'track', event: 'purchase', properties: { value, currency: 'USD' } }),
        plain,
      );
      return (
        mapped.kind === 'event' && JSON.stringify(mapped.metadata['value']) === `{"amount":${cents},"currency":"usd"}`
      );
    }),
  );
});

t.test('whatever comes as JSON, the answer is what Intercom can take, and the event is as before', async () => {
  const keys = fc.constantFrom(
    'total',
    'price',
    'currency',
    'products',
    'items',
    'order_id',
    'a.b',
    '$x',
    'at_date',
    'phone',
    'name',
    'email',
    'size',
    'avatar',
    'createdAt',
    'plan',
    '__proto__',
    'constructor',
    'toJSON',
  );
  const texts = fc.constantFrom(
    '',
    'USD',
    '1,5',
    '-0',
    '1e9999',
    '2026-02-25T10:00:00Z',
    '\ud83d',
    '👍'.repeat(200),
    '1'.repeat(300),
    'https://x.example/?' + 'q'.repeat(300),
    '+1 415 555 2671',
  );
  const anyKey = fc.oneof(keys, fc.string());
  const { json } = fc.letrec((tie) => ({
    json: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      fc.oneof(texts, fc.string(), fc.double(), fc.integer(), fc.boolean(), fc.constant(null)),
      fc.array(tie('json'), { maxLength: 4 }),
      fc.dictionary(anyKey, tie('json'), { maxKeys: 4 }),
    ),
  }));
  const object = fc.dictionary(anyKey, json, { maxKeys: 14 });
  const name = fc.oneof(fc.constantFrom('Order Completed', 'view_item', '\u0000', 'x'.repeat(400)), fc.string());
  const type = fc.constantFrom('identify' as const, 'page' as const, 'track' as const, 'group' as const);
  const naming = fc.constantFrom('preserve' as const, 'snake_case' as const);
  const wanted = rules(
    'events:\n  page: { metadata: [a, products.0.name, total.x, __proto__.toString] }\n  "*": { metadata: [total, constructor, a.b, items] }\n  Order Completed: {}',
  );
  const ruled = fc.constantFrom(noRules, wanted);

  fc.assert(
    fc.property(
      type,
      name,
      object,
      object,
      object,
      naming,
      ruled,
      (type, name, properties, traits, known, eventNaming, rules) => {
        const context = { traits: known, page: properties, locale: 'en-US' };
        const given: SignalEvent = {
          ...event({ type: 'page', userId: 'u' }),
          type,
          name,
          groupId: 'g',
          ...JSON.parse(JSON.stringify({ properties, traits, context })),
        };
        const { properties: own, traits: about, context: around } = given;
        const before = JSON.stringify([own, about, around]);
        const mapped = mapEvent(given, { eventNaming, rules });
        assert.equal(JSON.stringify([own, about, around]), before);
        assert.ok(given.properties === own && given.traits === about && given.context === around);
        assert.deepStrictEqual(faults(mapped), []);
      },
    ),
    { numRuns: 1000 },
  );
});

/** What Intercom would refuse or misread. */
function faults(mapped: Mapped): string[] {
  switch (mapped.kind) {
    case 'event': {
      const { eventName, metadata } = mapped;
      const name = eventName.length > 0 && eventName.length <= 255 ? [] : ['length of the event name'];
      const count = Object.keys(metadata).length <= 10 ? [] : ['number of metadata keys'];
      return [...name, ...count, ...faultyFields(metadata, isMetadataValue)];
    }
    case 'contact': {
      const { avatar, ...contact } = mapped.contact;
      const address = avatar === undefined || URL.canParse(avatar) ? [] : ['avatar'];
      return [...address, ...faultyFields(contact, isScalar), ...faultyFields(mapped.customAttributes, isScalar)];
    }
    case 'company':
      return [...faultyFields(mapped.company, isScalar), ...faultyFields(mapped.customAttributes, isScalar)];
    case 'dropped':
      return [];
    default:
      return mapped satisfies never;
  }
}

function faultyFields(fields: object, isRight: (value: unknown) => boolean): string[] {
  const wrong = Object.entries(fields).filter(([key, value]) => !/^[^.$]{1,190}$/s.test(key) || !isRight(value));
  return wrong.map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
}

function isMetadataValue(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return typeof value !== 'boolean' && isScalar(value);
  const keys = Object.keys(value).join();
  if (keys === 'url,value') return Object.values(value).every((text) => typeof text === 'string' && isScalar(text));
  return (
    keys === 'amount,currency' && 'amount' in value && Number.isSafeInteger(value.amount) && Number(value.amount) >= 0
  );
}

function isScalar(value: unknown): boolean {
  if (typeof value === 'string') return value !== '' && value.length <= 255 && value.isWellFormed();
  return typeof value === 'boolean' || Number.isFinite(value);
}
