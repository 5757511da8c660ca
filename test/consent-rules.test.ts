import t from 'tap';
import { createConsentPolicy } from '../src/ingest/consent-policy.ts';
import { type ConsentCategory, decideConsent } from '../src/ingest/consent.ts';
import { parseEvent, type SignalEvent } from '../src/ingest/event.ts';

const decide = (consent: unknown, category: ConsentCategory = 'functional', absent: 'allow' | 'deny' = 'allow') =>
  decideConsent(consent, category, absent);

t.test('each form decides, and the decision records category, form, key and value', async (t) => {
  const rows: [title: string, consent: unknown, category: ConsentCategory, expect: object][] = [
    [
      'canonical',
      { canonical: { functional: true } },
      'functional',
      { granted: true, form: 'canonical', key: 'functional', value: true },
    ],
    [
      'canonical refuses',
      { canonical: { functional: false } },
      'functional',
      { granted: false, form: 'canonical', value: false },
    ],
    [
      'canonical wins over categories',
      { canonical: { functional: false }, categories: { preferences: true } },
      'functional',
      { granted: false, form: 'canonical' },
    ],
    [
      'canonical wins over flat keys',
      { canonical: { marketing: false }, marketing: true },
      'marketing',
      { granted: false, form: 'canonical' },
    ],
    [
      'a key that canonical omits is not granted',
      { canonical: { essential: true }, categories: { preferences: true } },
      'functional',
      { granted: false, form: 'canonical', key: null },
    ],
    [
      'categories win over flat keys',
      { categories: { functional: false }, functional: true },
      'functional',
      { granted: false, form: 'categories' },
    ],
    [
      'Cookiebot preferences',
      { categories: { necessary: true, preferences: true } },
      'functional',
      { granted: true, form: 'categories', key: 'preferences' },
    ],
    [
      'Cookiebot marketing',
      { categories: { preferences: true, marketing: false } },
      'marketing',
      { granted: false, form: 'categories', key: 'marketing' },
    ],
    ['OneTrust C0003', { categories: { C0001: true, C0003: true } }, 'functional', { granted: true, key: 'C0003' }],
    ['OneTrust C0004', { categories: { C0001: true, C0004: true } }, 'marketing', { granted: true, key: 'C0004' }],
    [
      'OneTrust without C0003',
      { categories: { C0001: true, C0002: true } },
      'functional',
      { granted: false, key: null },
    ],
    ['IAB purposes are OR-merged', { categories: { 2: false, 3: true } }, 'marketing', { granted: true, key: '3' }],
    [
      'the own name outweighs a code',
      { categories: { functional: false, C0003: true } },
      'functional',
      { granted: false, key: 'functional' },
    ],
    [
      'flat',
      { analytics: false, marketing: false, functional: true, advertising: false },
      'functional',
      { granted: true, form: 'flat' },
    ],
    ['flat advertising counts as marketing', { advertising: true }, 'marketing', { granted: true, key: 'advertising' }],
    [
      'flat marketing outweighs advertising',
      { advertising: true, marketing: false },
      'marketing',
      { granted: false, key: 'marketing' },
    ],
    ["Google's keys", { ad_storage: 'granted', ad_user_data: 'true' }, 'marketing', { granted: true, form: 'google' }],
    [
      "one of Google's keys refuses",
      { ad_storage: 'granted', ad_user_data: 'denied' },
      'marketing',
      { granted: false, form: 'google', key: 'ad_user_data' },
    ],
    [
      'Google says nothing of functional here',
      { ad_storage: 'granted' },
      'functional',
      { granted: false, form: 'google' },
    ],
    ['canonical in capitals', { canonical: { FUNCTIONAL: true } }, 'functional', { granted: true, key: 'FUNCTIONAL' }],
    ['marketing as well', { canonical: { Marketing: true } }, 'marketing', { granted: true, key: 'Marketing' }],
    ['flat in capitals', { Functional: true }, 'functional', { granted: true, form: 'flat', key: 'Functional' }],
    ['its marketing as well', { Marketing: true }, 'marketing', { granted: true, form: 'flat', key: 'Marketing' }],
    ['categories in capitals', { categories: { MARKETING: true } }, 'marketing', { granted: true, key: 'MARKETING' }],
    ['an empty object grants nothing', {}, 'functional', { granted: false, form: 'flat', key: null }],
    ['a text is not true', { functional: 'true' }, 'functional', { granted: false, value: 'true' }],
    ['1 is not true', { canonical: { functional: 1 } }, 'functional', { granted: false, value: 1 }],
    ['null is not true', { functional: null }, 'functional', { granted: false }],
    ['consent that is no object', 'all', 'functional', { granted: false, form: 'invalid', value: 'all' }],
    ['a view that is no object', { canonical: [true] }, 'functional', { granted: false, form: 'canonical' }],
    [
      'canonical that is null is none',
      { canonical: null, functional: true },
      'functional',
      { granted: true, form: 'flat' },
    ],
    [
      'categories that are null are none',
      { categories: null, functional: true },
      'functional',
      { granted: true, form: 'flat' },
    ],
    [
      'categories that are no object',
      { categories: 'all', functional: true },
      'functional',
      { granted: false, form: 'categories', key: null, value: 'all' },
    ],
    ['functionality', { categories: { Functionality: true } }, 'functional', { granted: true, key: 'Functionality' }],
    ['IAB purpose 5', { categories: { 5: true } }, 'functional', { granted: true, key: '5', value: true }],
    ['IAB purpose 2', { categories: { 2: true } }, 'marketing', { granted: true, key: '2' }],
    ['IAB purpose 4', { categories: { 4: true } }, 'marketing', { granted: true, key: '4' }],
    ['IAB purpose 7', { categories: { 7: true } }, 'marketing', { granted: true, key: '7' }],
    ['targeting', { categories: { targeting: true } }, 'marketing', { granted: true, key: 'targeting' }],
    [
      'advertising of a platform',
      { categories: { advertising: true } },
      'marketing',
      { granted: true, key: 'advertising' },
    ],
    [
      'a code of marketing says nothing of functional',
      { categories: { C0004: true } },
      'functional',
      { granted: false, key: null },
    ],
    [
      'of refusals the first is told',
      { categories: { c0004: false, 7: false } },
      'marketing',
      { granted: false, key: 'c0004', value: false },
    ],
    [
      'the own name in capitals outweighs a code, too',
      { categories: { C0003: true, Functional: false } },
      'functional',
      { granted: false, key: 'Functional', value: false },
    ],
    [
      'a code does not count in the flat form',
      { preferences: true },
      'functional',
      { granted: false, form: 'flat', key: null },
    ],
    [
      'nor in the canonical one',
      { canonical: { advertising: true } },
      'marketing',
      { granted: false, form: 'canonical', key: null },
    ],
    [
      'what is inherited is no key',
      { canonical: Object.create({ functional: true }) },
      'functional',
      { granted: false, key: null },
    ],

    [
      'Google in capitals',
      { AD_STORAGE: 'granted' },
      'marketing',
      { granted: true, form: 'google', key: 'AD_STORAGE', value: 'granted' },
    ],
    ['Google with a true', { ad_personalization: true }, 'marketing', { granted: true, form: 'google' }],
    ['Google with a false', { ad_user_data: false }, 'marketing', { granted: false, form: 'google', value: false }],
    ['Google with another word', { ad_storage: 'yes' }, 'marketing', { granted: false, form: 'google', value: 'yes' }],
    [
      'functionality_storage',
      { functionality_storage: 'granted' },
      'functional',
      { granted: true, form: 'google', key: 'functionality_storage' },
    ],
    [
      'all of Google, where what else there is says nothing',
      {
        analytics_storage: 'denied',
        personalization_storage: 'denied',
        security_storage: 'denied',
        ad_storage: 'granted',
        functional: null,
      },
      'marketing',
      { granted: true, form: 'google', key: 'ad_storage' },
    ],
    [
      'a key of Google that is null says nothing',
      { ad_storage: null, ad_user_data: 'granted' },
      'marketing',
      { granted: true, form: 'google', key: 'ad_user_data' },
    ],
    [
      'where a flat key stands beside, Google does not count',
      { ad_storage: 'granted', functional: false },
      'marketing',
      { granted: false, form: 'flat', key: null },
    ],
    [
      'Google without the purpose',
      { security_storage: 'granted' },
      'marketing',
      { granted: false, form: 'google', key: null, value: null },
    ],
    ['consent that is a list', [true], 'functional', { granted: false, form: 'invalid', value: '[true]' }],
    ['consent that is true', true, 'functional', { granted: false, form: 'invalid', value: true }],
    ['consent that is a number', 1, 'functional', { granted: false, form: 'invalid', value: 1 }],
    [
      'a value that is an object',
      { functional: { given: true } },
      'functional',
      { granted: false, value: '{"given":true}' },
    ],
    [
      'a value that is null',
      { canonical: { functional: null } },
      'functional',
      { granted: false, key: 'functional', value: null },
    ],
    ['what stood there is shortened', 'x'.repeat(200), 'functional', { granted: false, value: 'x'.repeat(100) }],
  ];
  for (const [title, consent, category, expected] of rows) {
    const decided = decide(consent, category);
    // Strictly, where only what a row names is looked at: `1` is not '1', and a text not a longer one.
    t.strictSame({ ...decided, ...expected, category }, decided, title);
  }
});

t.test('absent consent follows the configuration', async (t) => {
  for (const none of [undefined, null]) {
    for (const category of ['functional', 'marketing'] as const) {
      const basis = { category, form: 'absent', key: null, value: null };
      t.strictSame(decide(none, category, 'allow'), { granted: true, ...basis });
      t.strictSame(decide(none, category, 'deny'), { granted: false, ...basis });
    }
  }
});

function event(raw: Record<string, unknown>): SignalEvent {
  const parsed = parseEvent({ userId: 'u', ...raw });
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join('; '));
  return parsed.event;
}

const track = (name: string, consent?: object): SignalEvent =>
  event({ type: 'track', event: name, context: consent ? { consent } : {} });

function policy(options: Partial<Parameters<typeof createConsentPolicy>[0]> = {}) {
  return createConsentPolicy({
    category: 'functional',
    marketingEvents: [],
    whenAbsent: 'allow',
    hasRules: false,
    ruleCategory: () => undefined,
    ...options,
  });
}

t.test('which consent an event needs', async (t) => {
  const names = [' Promo-Clicked ', 'page', 'Pricing  Page', 'identify'];
  const marketing = policy({ marketingEvents: names });
  const rows: [SignalEvent, ConsentCategory][] = [
    [track('promo_clicked'), 'marketing'],
    [track('PROMO  CLICKED'), 'marketing'],
    [track('promoclicked'), 'functional'],
    [track('identify'), 'marketing'],
    [track('group'), 'functional'],
    [event({ type: 'identify' }), 'marketing'],
    [event({ type: 'group', groupId: 'g', name: 'identify' }), 'functional'],
    [event({ type: 'page', name: 'Home' }), 'marketing'],
    [event({ type: 'page' }), 'marketing'],
  ];
  for (const [one, category] of rows) t.equal(marketing.decide(one).category, category, `${one.type} ${one.name}`);
  t.equal(policy().decide(track('promo_clicked')).category, 'functional');
  const pricing = policy({ marketingEvents: ['pricing_page'] });
  t.equal(pricing.decide(event({ type: 'page', name: 'Pricing Page' })).category, 'marketing', 'a page by its name');
  t.equal(pricing.decide(event({ type: 'page', name: 'Home' })).category, 'functional');
  const viewed = policy({ marketingEvents: ['Page Viewed'] });
  t.equal(viewed.decide(event({ type: 'page', name: 'Home' })).category, 'marketing', 'as Intercom names it');
  const all = policy({ category: 'marketing', ruleCategory: ({ name }) => (name === 'A' ? 'functional' : undefined) });
  t.equal(all.decide(track('A')).category, 'functional', 'a rule outweighs the setting');
  t.equal(all.decide(track('B')).category, 'marketing');
  t.equal(viewed.decide(event({ type: 'group', groupId: 'g' })).category, 'functional');
  t.equal(policy({ marketingEvents: ['A'] }).decide(event({ type: 'page' })).category, 'functional', 'without a name');
  t.equal(policy({ whenAbsent: 'deny' }).decide(track('A')).granted, false);
  t.match(policy().decide(track('A', { functional: false })), { granted: false, form: 'flat' });
});

t.test('an event says of its person what something here asks for, and no more', async (t) => {
  const refused = track('A', { functional: false, marketing: false });
  const rows: [title: string, settings: Parameters<typeof policy>[0], says: object][] = [
    ['functional alone is asked for', {}, { functional: false, marketing: true }],
    ['marketing alone', { category: 'marketing' }, { functional: true, marketing: false }],
    [
      'marketing by the setting and by events',
      { category: 'marketing', marketingEvents: ['B'] },
      { functional: true, marketing: false },
    ],
    ['some events ask for marketing', { marketingEvents: ['B'] }, { functional: false, marketing: false }],
    ['rules may ask for both', { hasRules: true }, { functional: false, marketing: false }],
  ];
  for (const [title, settings, says] of rows) t.strictSame(policy(settings).statement(refused), says, title);
  const both = policy({ hasRules: true });
  t.strictSame(both.statement(track('A', { functional: true, marketing: true })), {
    functional: true,
    marketing: true,
  });
  t.strictSame(both.statement(track('A', {})), { functional: false, marketing: false }, 'what is missing is refused');
  t.equal(both.statement(track('A')), null, 'without consent it says nothing');
});

t.test('an accepted event is sent by the newest consent that is known', async (t) => {
  const { mayStillSend } = policy();
  const stated = track('A', { functional: true });
  const silent = track('A');
  const newest = (functional: boolean, atMs: number) => ({ functional, marketing: true, atMs });
  t.equal(mayStillSend(silent, 100, null), true, 'nothing was ever refused');
  t.equal(mayStillSend(stated, 100, newest(false, 99)), true, 'its own word is newer');
  t.equal(mayStillSend(stated, 100, newest(false, 100)), false);
  t.equal(mayStillSend(stated, 100, newest(false, 101)), false);
  t.equal(mayStillSend(stated, 100, newest(true, 101)), true);
  t.equal(mayStillSend(silent, 100, newest(false, 99)), false, 'it has no word of its own');
  t.equal(mayStillSend(silent, 100, newest(true, 99)), true);
  const marketing = policy({ category: 'marketing' });
  t.equal(marketing.mayStillSend(silent, 100, { functional: true, marketing: false, atMs: 1 }), false);
  t.equal(marketing.mayStillSend(silent, 100, { functional: false, marketing: true, atMs: 1 }), true);
});
