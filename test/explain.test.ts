import { readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { z } from 'zod';
import { type ExplainedEvent, Explanation } from '../src/explain/answer.ts';
import { remedies } from '../src/explain/remedies.ts';
import { type Service, type ServiceOptions, startService, until } from './service.ts';

const adminToken = 'an-admin-token-of-some-length';
const attributes = [{ model: 'contact' as const, name: 'plan', data_type: 'string' }];

async function start(t: Test, options: ServiceOptions = {}): Promise<Service> {
  const simulator = options.simulator ?? { attributes, indexLagMs: 0 };
  const service = await startService(t, { ...options, simulator, env: { ADMIN_TOKEN: adminToken, ...options.env } });
  await until('the delivery has begun', async () => (await service.get('/readyz')).status === 200);
  return service;
}

async function ask(service: Service, body: unknown, path = '/explain') {
  const response = await request(service.url + path, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.statusCode, text: await response.body.text() };
}

async function explain(service: Service, body: unknown): Promise<ExplainedEvent[]> {
  const { status, text } = await ask(service, body);
  if (status !== 200) throw new Error(text);
  return Explanation.strict().parse(JSON.parse(text)).events;
}

type Said = { method: string; path: string; body: unknown };

/** The calls in their order, where no answer surprises; or with the other answer wherever one is foreseen. */
function expected(events: ExplainedEvent[], answers: 'usual' | 'other'): Said[] {
  return events.flatMap(({ calls }) => {
    const fork = answers === 'usual' ? -1 : calls.findIndex(({ otherwise }) => otherwise !== null);
    const said = fork < 0 ? calls : [...calls.slice(0, fork + 1), ...calls[fork]!.otherwise!.calls];
    return said.map(({ method, path, body }) => ({ method, path, body }));
  });
}

/** Whether these are the calls, but for the ids that only Intercom could give. */
function isSaid(said: Said[], shown: Said[]): boolean {
  const escaped = JSON.stringify(shown).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll(/id_of_\w+?_(contact|company)/g, '[0-9a-f]{24}')}$`).test(
    JSON.stringify(said),
  );
}

/** The same of people and companies, and in messages, that no other row has: one service does for all of them. */
function ofRow(n: number, body: object): object {
  const text = JSON.stringify(body)
    .replaceAll(/"(u|g)-(\d)"/g, `"row-${n}-$1-$2"`)
    .replaceAll(/"(\w+)@example/g, `"row-${n}-$1@example`)
    .replaceAll(/"messageId":"/g, `"messageId":"row-${n}-`);
  return z.union([z.array(z.unknown()), z.looseObject({})]).parse(JSON.parse(text));
}

/** Explains, then sends, and compares: explaining must say nothing to Intercom and keep nothing. */
async function compare(t: Test, service: Service, given: object, answers: 'usual' | 'other' = 'usual') {
  const { simulator } = service;
  // Between the two calls a second may pass: an event without a time of its own would get another one.
  const timed = (event: object): object => ({ timestamp: '2026-02-25T14:30:00Z', ...event });
  const body = Array.isArray(given) ? given.map(timed) : timed(given);
  const before = { calls: simulator.count(), ledger: await ledger(service) };
  const events = await explain(service, body);
  t.strictSame({ calls: simulator.count(), ledger: await ledger(service) }, before, 'nothing sent, nothing kept');
  const sent = await service.post(body, { prefer: 'wait=60' });
  const said = simulator.calls
    .slice(before.calls)
    .map(({ method, path, requestBody = null }) => ({ method, path, body: requestBody }));
  const shown = expected(events, answers);
  if (!isSaid(said, shown)) t.strictSame(said, shown);
  return { events, sent, said };
}

async function ledger(service: Service): Promise<string[]> {
  return (await service.get('/metrics')).text.split('\n').filter((line) => line.includes('ledger_events{'));
}

const identify = { type: 'identify', userId: 'u-1', traits: { email: 'ada@example.com', name: 'Ada', plan: 'pro' } };
const track = { type: 'track', event: 'Product Viewed', userId: 'u-1', properties: { price: 1, currency: 'USD' } };
const lead = { type: 'track', event: 'Signed Up', traits: { email: 'lead@example.com' } };
const at = '2026-02-25T14:30:00.000Z';

t.test('what is explained is what is then sent', async (t) => {
  const rows: {
    title: string;
    first?: object[];
    body: object;
    answers?: 'other';
    calls: number;
    reasons?: (string | null)[];
  }[] = [
    { title: 'an identify of a new user', body: identify, calls: 1 },
    {
      title: 'an identify that changes something',
      first: [identify],
      body: { ...identify, traits: { plan: 'team' } },
      calls: 1,
    },
    {
      title: 'an identify that changes nothing',
      first: [identify],
      body: { ...identify, messageId: 'again' },
      calls: 0,
      reasons: ['unchanged'],
    },
    {
      title: 'identifies in a row',
      body: [identify, { ...identify, traits: { plan: 'team' } }, { ...identify, traits: { name: 'Ada L.' } }],
      calls: 1,
      reasons: ['merged', 'merged', 'merged'],
    },
    {
      title: 'a page of a known user',
      first: [identify],
      body: { type: 'page', userId: 'u-1', name: 'Home' },
      calls: 1,
    },
    {
      title: 'an order with its revenue',
      first: [identify],
      body: { type: 'track', event: 'Order Completed', userId: 'u-1', properties: { total: 19.99, currency: 'EUR' } },
      calls: 1,
    },
    { title: 'a track of a user whom Intercom does not know', body: track, answers: 'other', calls: 3 },
    {
      title: 'two events of one name in one second',
      first: [identify],
      body: [
        { ...track, timestamp: at, messageId: 'a' },
        { ...track, timestamp: at, messageId: 'b' },
      ],
      calls: 2,
    },
    { title: 'an event of an email that nobody has', body: lead, calls: 3 },
    { title: 'an event of a known lead', first: [lead], body: { ...lead, event: 'Other' }, calls: 1 },
    {
      title: 'a lead that becomes a user',
      first: [lead],
      body: { type: 'identify', userId: 'u-9', traits: { email: 'lead@example.com', name: 'L' } },
      calls: 1,
    },
    {
      title: 'a lead that turns out to be a user whom Intercom has',
      first: [lead, { type: 'identify', userId: 'u-9', traits: { name: 'L' } }],
      body: { ...track, userId: 'u-9', traits: { email: 'lead@example.com' } },
      calls: 2,
    },
    {
      title: 'a group of a known user',
      first: [identify],
      body: { type: 'group', userId: 'u-1', groupId: 'g-1', traits: { name: 'Acme' } },
      calls: 2,
    },
    {
      title: 'a group of a company that is known, and of one that is not, by two people',
      first: [identify, { type: 'group', userId: 'u-1', groupId: 'g-1', traits: { name: 'Acme' } }],
      body: [
        { type: 'group', userId: 'u-2', groupId: 'g-1', traits: { name: 'Acme' } },
        { type: 'group', userId: 'u-2', groupId: 'g-2', traits: { name: 'Other' } },
      ],
      calls: 4,
    },
    {
      title: 'sixty identifies, of which fifty go together',
      body: Array.from({ length: 60 }, (_, n) => ({ ...identify, traits: { name: `Ada ${n}` } })),
      calls: 2,
    },
  ];
  const service = await start(t);
  for (const [n, { title, first = [], body, answers, calls, reasons }] of rows.entries()) {
    await t.test(title, async (t) => {
      for (const event of first) await service.post(ofRow(n, event), { prefer: 'wait=60' });
      const { events, sent, said } = await compare(t, service, ofRow(n, body), answers);
      t.equal(said.length, calls);
      t.strictSame([...new Set(events.map(({ status }) => status))], ['would_send']);
      t.strictSame(
        events.map(({ reason }) => reason),
        reasons ?? sent.body.events.map(({ reason = null }) => reason),
        'with the reason that the answer of /ingest gives',
      );
    });
  }
});

t.test(
  'an identify of a user who exists is foreseen: after the 409 the write goes to the id that it names',
  async (t) => {
    const first = await start(t);
    await first.post(identify);
    await first.stop();
    const service = await start(t, { simulator: first.simulator });
    const { events } = await compare(t, service, { ...identify, traits: { plan: 'team' } }, 'other');
    t.match(events[0]?.calls, [
      {
        method: 'POST',
        path: '/contacts',
        note: /409.*PUT \/contacts\/id_of_the_existing_contact/,
        otherwise: { when: /409/, calls: [{ method: 'PUT', body: { custom_attributes: { plan: 'team' } } }] },
      },
    ]);
  },
);

t.test('an event of a lead that Intercom has is foreseen: it goes to the one that the search finds', async (t) => {
  const first = await start(t);
  await first.post(lead);
  await first.stop();
  const service = await start(t, { simulator: first.simulator });
  const { events } = await compare(t, service, { ...lead, event: 'Other' }, 'other');
  t.strictSame(
    events[0]?.calls.map(({ path }) => path),
    ['/contacts/search', '/contacts', '/events'],
  );
});

t.test('every event of the mapping examples is explained as it is sent', async (t) => {
  const folder = new URL('fixtures/mapping/', import.meta.url);
  const Cases = z.array(z.object({ name: z.string(), event: z.looseObject({ type: z.string() }) }));
  const cases = readdirSync(folder).flatMap((file) =>
    Cases.parse(JSON.parse(readFileSync(new URL(file, folder), 'utf8'))),
  );
  const service = await start(t, { env: { INTERCOM_QUOTA_SHARE: '1' } });
  await service.post({ type: 'identify', userId: 'u-example' });
  for (const [n, { name, event }] of cases.entries()) {
    const timestamp = Date.parse(at) + n * 1000;
    const body = { ...event, timestamp, userId: 'u-example', messageId: `case-${n}` };
    await t.test(name, (t) => compare(t, service, body).then(() => t.end()));
  }
});

t.test('a duplicate says so, whether it was sent before or stands in the same request', async (t) => {
  const service = await start(t);
  const { body } = await service.post({ ...identify, messageId: 'm-1' });
  const events = await explain(service, [
    { ...identify, messageId: 'm-1' },
    { ...track, messageId: 'm-2' },
    { ...track, messageId: 'm-2' },
  ]);
  t.match(events, [
    {
      status: 'would_filter',
      reason: 'duplicate',
      calls: [],
      warnings: [{ message: new RegExp(`${body.events[0]!.id} \\(delivered\\)`) }],
    },
    { status: 'would_send', calls: [{ path: '/events' }] },
    { status: 'would_filter', reason: 'duplicate', calls: [], warnings: [{ message: /in this request/ }] },
  ]);
});

t.test('an event that consent, a rule or nobody lets through says why and what to do', async (t) => {
  const service = await start(t, { env: { MARKETING_EVENTS: 'Promoted', ANONYMOUS_EVENTS: 'filter' } });
  const events = await explain(service, [
    { ...track, event: 'Promoted', context: { consent: { marketing: false, functional: true } } },
    { type: 'page', anonymousId: 'a' },
    { ...track, userId: '', traits: {}, anonymousId: 'a' },
    { type: 'track', userId: 'u-1' },
  ]);
  t.match(events, [
    {
      status: 'would_filter',
      reason: 'consent_marketing',
      consent: { granted: false, category: 'marketing', form: 'flat', key: 'marketing', value: false },
      person: 'user:u-1',
      warnings: [{ code: 'consent_marketing', message: String, remedy: String }],
      calls: [],
    },
    { status: 'would_filter', reason: 'no_identifier', person: 'anon:a' },
    { status: 'would_filter', reason: 'no_identifier' },
    { status: 'rejected', consent: null, person: null, error: { code: 'missing_field', path: 'event' }, calls: [] },
  ]);
});

t.test(
  "an event that relies on the person's consent is held against the newest one, also of this request",
  async (t) => {
    const service = await start(t);
    await service.post({ ...identify, context: { consent: { functional: false } } });
    const [event] = await explain(service, track);
    t.match(event, {
      status: 'would_filter',
      reason: 'consent_revoked',
      warnings: [{ code: 'consent_revoked', message: /withdrew.* on 20/, remedy: String }],
    });
    const withdrawn = await explain(service, [
      { ...track, userId: 'u-2', messageId: 'a' },
      { ...track, userId: 'u-2', messageId: 'b', context: { consent: { functional: false } } },
    ]);
    t.strictSame(
      withdrawn.map(({ reason }) => reason),
      ['consent_revoked', 'consent_functional'],
    );
  },
);

t.test('warnings say what is left out and what to do about it', async (t) => {
  const service = await start(t);
  await service.post(identify);
  const hash = 'a'.repeat(64);
  const many = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`key${n}`, n]));
  const events = await explain(service, [
    { ...identify, traits: { email: hash, phone: hash, shoe_size: 43 } },
    { ...track, properties: many, timestamp: at, messageId: 'a' },
    { ...track, timestamp: at, messageId: 'b' },
  ]);
  const codes = events.map(({ warnings }) => warnings.map(({ code }) => code));
  t.strictSame(codes, [['unknown_attribute', 'hashed_email', 'hashed_phone'], ['metadata_dropped'], ['second_moved']]);
  t.match(events[0]?.warnings[0], { field: 'shoe_size', remedy: /CREATE_ATTRIBUTES/ });
  t.match(events[2]?.calls, [{ body: { created_at: Date.parse(at) / 1000 + 1 } }]);
});

t.test(
  'what waits is explained as waiting: a visitor, a person with queued events, an installation on hold',
  async (t) => {
    const service = await start(t, { env: { ANONYMOUS_EVENTS: 'hold' } });
    const visit = { type: 'page', name: 'Home', anonymousId: 'visitor' };
    t.match(await explain(service, visit), [
      {
        status: 'would_send',
        reason: 'held_until_login',
        person: 'anon:visitor',
        calls: [],
        warnings: [{ code: 'held_until_login' }],
      },
    ]);
    await service.post(visit, { prefer: 'respond-async' });
    service.simulator.setTokens([]);
    await service.post({ ...track, userId: 'other' });
    await until('the delivery is held', async () => (await service.get('/readyz')).text.includes('token_invalid'));
    const login = { ...identify, anonymousId: 'visitor' };
    t.match(await explain(service, login), [
      {
        status: 'would_send',
        person: 'user:u-1',
        calls: [{ path: '/contacts' }],
        warnings: [
          { code: 'hold_token_invalid', remedy: /INTERCOM_ACCESS_TOKEN/ },
          { code: 'queued_before', message: /^1 event/ },
        ],
      },
    ]);
  },
);

t.test('a lead that may just have been created is waited for, and then searched', async (t) => {
  const service = await start(t);
  service.simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts' });
  await service.post(lead, { prefer: 'respond-async' });
  await until('the end of the creation is in doubt', () => service.simulator.count('POST /contacts') === 1);
  const [event] = await until('the attempt is written down', async () => {
    const events = await explain(service, { ...lead, event: 'Other' });
    return events[0]?.warnings.some(({ code }) => code.startsWith('waits_')) ? events : null;
  });
  t.match(event, {
    calls: [
      {
        path: '/contacts/search',
        otherwise: { calls: [{ path: '/events', body: { id: 'id_of_the_found_contact' } }] },
      },
      { path: '/contacts' },
      { path: '/events' },
    ],
    warnings: [{ code: 'waits_lead_unconfirmed', message: /^sent in 1\d\d s/ }, { code: 'queued_before' }],
  });
});

t.test('explaining ties no device and no email to anybody', async (t) => {
  const service = await start(t, { env: { ANONYMOUS_EVENTS: 'hold' } });
  const login = { ...identify, anonymousId: 'visitor' };
  t.match(await explain(service, [lead, { ...identify, userId: 'u-7', traits: { email: 'lead@example.com' } }]), [
    { person: 'user:u-7' },
    { person: 'user:u-7' },
  ]);
  await explain(service, login);
  t.match(await explain(service, [{ type: 'page', anonymousId: 'visitor' }, lead]), [
    { person: 'anon:visitor' },
    { person: 'email:lead@example.com' },
  ]);
});

t.test('it takes the admin token, an installation that there is, and the bodies of /ingest', async (t) => {
  const service = await start(t);
  const { statusCode } = await request(`${service.url}/explain`, { method: 'POST', body: '{}' });
  t.equal(statusCode, 401);
  t.match(await ask(service, identify, '/explain?installation=other'), { status: 404, text: /no_installation/ });
  t.match(await ask(service, []), { status: 400, text: /empty_batch/ });
  t.equal((await explain(service, { batch: [identify, track] })).length, 2);
});

t.test('docs/mapping.md has the remedy of each warning of the mapping', async (t) => {
  const documented = [...readFileSync('docs/mapping.md', 'utf8').matchAll(/^\| `(\w+)` \| .* \| .* \|$/gm)].map(
    ([, code]) => code!,
  );
  const missing = documented
    .slice(documented.indexOf('amount_conflict'))
    .filter((code) => remedies[code] === undefined);
  t.strictSame(missing, []);
});
