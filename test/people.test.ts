import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { request } from 'undici';
import type { Simulator } from '../src/simulator/simulator.ts';
import { type Service, type ServiceOptions, startService, token, until, writes } from './service.ts';

const adminToken = 'an-admin-token-of-some-length';
const ada = {
  type: 'identify',
  userId: 'u-ada',
  traits: { email: 'ada@example.com', name: 'Ada Lovelace', phone: '+442071838750' },
};
const track = (event: string, more: object = {}) => ({ type: 'track', event, userId: 'u-ada', ...more });
const lead = { type: 'track', event: 'Signed Up', traits: { email: 'ada@example.com', name: 'Ada Lovelace' } };

async function start(t: Test, options: ServiceOptions = {}): Promise<Service> {
  const env = { ADMIN_TOKEN: adminToken, ...options.env };
  const service = await startService(t, { simulator: { indexLagMs: 0 }, ...options, env });
  await until('the token is checked', async () => !(await service.get('/readyz')).text.includes('starting'));
  return service;
}

async function admin(service: Service, method: 'GET' | 'POST' | 'DELETE', path: string, wait = 60) {
  const headers = { authorization: `Bearer ${adminToken}`, prefer: `wait=${wait}` };
  const response = await request(service.url + path, { method, headers });
  return { status: response.statusCode, body: JSON.parse(await response.body.text()) };
}

const person = (key: string): string => `/people/${encodeURIComponent(key)}`;

async function erased(service: Service, id: string): Promise<void> {
  await until('the erasure is done', async () => {
    const { body } = await admin(service, 'GET', `/people/erasures/${id}`);
    return body.status === 'done';
  });
}

async function intercom(simulator: Simulator, method: 'POST' | 'PUT' | 'DELETE', path: string, body?: object) {
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json',
    'intercom-version': '2.11',
    ...(body && { 'content-type': 'application/json' }),
  };
  const response = await request(simulator.url + path, { method, headers, body: body ? JSON.stringify(body) : null });
  return { status: response.statusCode, body: JSON.parse(await response.body.text()) };
}

/** Every value of every row of every table. */
function rowsOf(databasePath: string): string[] {
  const db = new DatabaseSync(databasePath, { readOnly: true });
  try {
    const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    return tables.flatMap(({ name }) =>
      db
        .prepare(`SELECT * FROM "${String(name)}"`)
        .all()
        .map(
          (row) =>
            `${String(name)}: ${JSON.stringify(row, (_, value) => (typeof value === 'bigint' ? String(value) : value))}`,
        ),
    );
  } finally {
    db.close();
  }
}

/** Neither here nor there, but for what is free of personal data. */
function noTrace(
  t: Test,
  { databasePath, simulator, logs }: Service,
  words = ['ada@', 'Lovelace', 'u-ada', '442071838750'],
) {
  const contains = (text: string): boolean => words.some((word) => text.includes(word));
  t.strictSame(rowsOf(databasePath).filter(contains), [], 'no row has anything of the person');
  t.strictSame(logs.filter(contains), [], 'and no log line');
  const left = simulator
    .allContacts()
    .filter(
      ({ status, ...contact }) => status !== 'deleted' && status !== 'merged' && contains(JSON.stringify(contact)),
    );
  t.strictSame(left, [], 'and no contact in Intercom');
}

async function ledger(service: Service): Promise<Record<string, number>> {
  const { text } = await service.get('/metrics');
  const lines = text.matchAll(/ledger_events\{state="(\w+)"\} (\d+)/g);
  const accepted = Number(/accepted_events_total (\d+)/.exec(text)?.[1]);
  return { accepted, ...Object.fromEntries([...lines].map(([, state, n]) => [state!, Number(n)])) };
}

async function isBalanced(t: Test, service: Service): Promise<void> {
  const { accepted, delivered, filtered, dead, queued } = await ledger(service);
  t.equal(accepted, delivered! + filtered! + dead! + queued!, 'the ledger balances');
}

t.test('a person is shown with what is known of it, by each of its keys', async (t) => {
  const service = await start(t, { env: { ANONYMOUS_EVENTS: 'hold' } });
  await service.post(lead);
  await service.post({ ...ada, anonymousId: 'device-1', context: { consent: { functional: true, marketing: false } } });
  await service.post({ type: 'group', userId: 'u-ada', groupId: 'g-1', traits: { name: 'Acme' } });
  const contactId = service.simulator.contact('u-ada')!.id;
  for (const key of ['user:u-ada', 'email:Ada@Example.com', 'anon:device-1']) {
    const { status, body } = await admin(service, 'GET', person(key));
    t.equal(status, 200, key);
    t.match(body, {
      person: 'user:u-ada',
      contact: {
        intercomId: contactId,
        role: 'user',
        fields: { name: 'Ada Lovelace' },
        attributes: {},
        companies: { 'g-1': String },
      },
      consent: null,
      queued: 0,
      nextCursor: null,
    });
    t.strictSame(body.aliases.toSorted(), ['anon:device-1', 'email:ada@example.com']);
    t.strictSame(
      body.events.map(({ type }: { type: string }) => type),
      ['group', 'identify', 'track'],
    );
  }
  const first = await admin(service, 'GET', `${person('user:u-ada')}?limit=2`);
  t.equal(first.body.events.length, 2);
  const second = await admin(service, 'GET', `${person('user:u-ada')}?limit=2&cursor=${first.body.nextCursor}`);
  t.strictSame(
    second.body.events.map(({ type }: { type: string }) => type),
    ['track'],
  );
});

t.test('the newest consent is shown; a key that nobody has, or that is none, is refused', async (t) => {
  const service = await start(t);
  await service.post({ ...ada, timestamp: '2026-02-25T14:30:00Z', context: { consent: { functional: false } } });
  t.match((await admin(service, 'GET', person('user:u-ada'))).body, {
    contact: null,
    consent: { functional: false, at: '2026-02-25T14:30:00.000Z' },
    events: [{ status: 'filtered', reason: 'consent_functional' }],
  });
  t.match(await admin(service, 'GET', person('user:nobody')), { status: 404, body: { code: 'unknown_person' } });
  for (const key of ['u-ada', 'user:', 'email:no-address'])
    t.match(await admin(service, 'GET', person(key)), { status: 400, body: { code: 'invalid_key' } }, key);
  t.match(await admin(service, 'GET', `${person('user:u-ada')}?installation=other`), {
    status: 404,
    body: { code: 'no_installation' },
  });
  t.equal((await request(service.url + person('user:u-ada'))).statusCode, 401);
});

t.test('an erased person is gone, here and in Intercom; who comes with the same keys is somebody new', async (t) => {
  const service = await start(t);
  await service.post([ada, track('A'), { type: 'group', userId: 'u-ada', groupId: 'g-1' }]);
  await service.post({ type: 'identify', userId: 'u-other', traits: { name: 'Other' } });
  const contact = service.simulator.contact('u-ada')!;
  const { status, body } = await admin(service, 'DELETE', person('email:ada@example.com'));
  t.equal(status, 200);
  t.match(body, { id: /^evt_/, status: 'done', intercom: { status: 200, calls: 3 }, endedAt: String });
  t.strictSame(writes(service.simulator).slice(-3), [
    'PUT /contacts/{id}',
    'DELETE /contacts/{id}',
    'POST /contacts/search',
  ]);
  noTrace(t, service);
  t.match(await admin(service, 'GET', `/events/${body.id}`), {
    body: { type: 'erasure', status: 'delivered', event: { type: 'erasure' }, history: [{ exchange: { calls: [] } }] },
  });
  t.equal((await admin(service, 'GET', person('user:u-ada'))).status, 404);
  t.equal((await admin(service, 'GET', person('user:u-other'))).status, 200, 'others are as before');
  const audit = (await admin(service, 'GET', '/v1/admin/audit-log')).body.data;
  t.match(audit, [{ action: 'person.erased', resource_id: 'default', changes: { erasure: { new: body.id } } }]);

  const again = await service.post({ ...ada, messageId: 'again' });
  t.match(again.body.events[0], { status: 'delivered' });
  t.not(service.simulator.contact('u-ada')?.id, contact.id);
  await isBalanced(t, service);
});

t.test('a messageId of an erased event is still known', async (t) => {
  const service = await start(t);
  await service.post({ ...ada, messageId: 'm-1' });
  await admin(service, 'DELETE', person('user:u-ada'));
  const calls = service.simulator.count();
  t.match((await service.post({ ...ada, messageId: 'm-1' })).body.events[0], { status: 'duplicate' });
  t.equal(service.simulator.count(), calls);
  noTrace(t, service);
});

t.test(
  'queued events are never sent, and one in flight is the last; later ones wait for the end of the erasure',
  async (t) => {
    const service = await start(t);
    const { simulator } = service;
    await service.post(ada);
    const answered = Promise.withResolvers<void>();
    simulator.inject({ kind: 'slow', ms: 0, until: answered.promise, endpoint: 'POST /events' });
    await service.post([track('A'), track('B'), track('C')], { prefer: 'respond-async' });
    await until('A is in flight', () => simulator.count('POST /events') === 1);
    const { status, body } = await admin(service, 'DELETE', person('user:u-ada'), 0);
    t.equal(status, 202);
    t.match(body, { status: 'running', endedAt: null });
    const { accepted } = await ledger(service);
    const later = service.post(track('D', { traits: { email: 'ada@example.com' } }), { prefer: 'wait=60' });
    await until('D is kept', async () => (await ledger(service)).accepted! > accepted!);
    answered.resolve();
    await erased(service, body.id);
    t.match((await later).body.events[0], { status: 'delivered' });
    const events = simulator.calls.filter(({ endpoint }) => endpoint === 'POST /events');
    t.strictSame(
      [...new Set(events.map((call) => JSON.parse(JSON.stringify(call.requestBody)).event_name))],
      ['A', 'D'],
    );
    const ended = simulator.calls.findLastIndex(({ endpoint }) => endpoint === 'DELETE /contacts/{id}');
    const first = simulator.calls.findIndex(({ requestBody }) => JSON.stringify(requestBody ?? null).includes('"D"'));
    t.ok(ended < first, 'the new person begins after the old one has ended');
    t.strictSame(
      simulator.timeline('u-ada').map(({ eventName }) => eventName),
      ['D'],
    );
    await isBalanced(t, service);
  },
);

t.test('an erasure survives a restart, and waits while the installation is on hold', async (t) => {
  const first = await start(t);
  await first.post(ada);
  first.simulator.setTokens([]);
  await first.post(track('A'), { prefer: 'respond-async' });
  await until('the delivery is held', async () => (await first.get('/readyz')).text.includes('token_invalid'));
  const { status, body } = await admin(first, 'DELETE', person('user:u-ada'), 0);
  t.equal(status, 202);
  await first.post(track('B'), { prefer: 'respond-async' });
  await first.stop();
  first.simulator.setTokens([token]);
  const service = await start(t, { simulator: first.simulator, databasePath: first.databasePath });
  await erased(service, body.id);
  await until('the new person is there', () => service.simulator.timeline('u-ada').length === 1);
  t.match(service.simulator.timeline('u-ada'), [{ eventName: 'B' }]);
  t.equal(service.simulator.allContacts().filter((one) => one.status === 'deleted').length, 1);
  await isBalanced(t, service);
});

t.test('Intercom that fails first is asked again', async (t) => {
  const service = await start(t);
  await service.post(ada);
  service.simulator.inject({ kind: 'status', status: 500, endpoint: 'DELETE /contacts/{id}' });
  service.simulator.inject({ kind: 'reset_after', endpoint: 'DELETE /contacts/{id}' });
  const { status, body } = await admin(service, 'DELETE', person('user:u-ada'));
  t.equal(status, 200);
  t.match(await admin(service, 'GET', `/events/${body.id}`), {
    body: { history: [{ outcome: 'retry', reason: 'server_error' }, { outcome: 'retry' }, { outcome: 'delivered' }] },
  });
  noTrace(t, service);
});

t.test('an id that has rotten proves nothing: whoever has the external_id is erased', async (t) => {
  const service = await start(t);
  const { simulator } = service;
  await service.post(ada);
  const { id } = simulator.contact('u-ada')!;
  await intercom(simulator, 'PUT', `/contacts/${id}`, {
    external_id: 'elsewhere',
    email: null,
    name: null,
    phone: null,
  });
  await intercom(simulator, 'DELETE', `/contacts/${id}`);
  await intercom(simulator, 'POST', '/contacts', { role: 'user', external_id: 'u-ada', email: 'ada@example.com' });
  t.match(await admin(service, 'DELETE', person('user:u-ada')), { status: 200, body: { status: 'done' } });
  noTrace(t, service);
});

t.test(
  'an archived contact is brought back and deleted, also one that is known by nothing but its external_id',
  async (t) => {
    for (const isKnown of [true, false]) {
      const service = await start(t);
      const { simulator } = service;
      if (isKnown) await service.post(ada);
      else
        await intercom(simulator, 'POST', '/contacts', {
          role: 'user',
          external_id: 'u-ada',
          email: 'ada@example.com',
        });
      const { id } = simulator.contact('u-ada')!;
      await intercom(simulator, 'POST', `/contacts/${id}/archive`);
      t.match(await admin(service, 'DELETE', person('user:u-ada')), { status: 200, body: { status: 'done' } });
      t.equal(simulator.allContacts().find((one) => one.id === id)?.status, 'deleted');
      noTrace(t, service);
      const again = await service.post({ ...ada, messageId: 'again' });
      t.match(again.body.events[0], { status: 'delivered' }, 'the external_id is free again');
    }
  },
);

t.test('a contact that is deleted already is proved to be, and done', async (t) => {
  const service = await start(t);
  await service.post(ada);
  await intercom(service.simulator, 'DELETE', `/contacts/${service.simulator.contact('u-ada')!.id}`);
  t.match(await admin(service, 'DELETE', person('user:u-ada')), { status: 200, body: { status: 'done' } });
  noTrace(t, service);
});

t.test('a user whom Intercom does not have leaves nothing there', async (t) => {
  const service = await start(t);
  t.match(await admin(service, 'DELETE', person('user:u-ada')), { status: 200, body: { status: 'done' } });
  t.strictSame(service.simulator.contacts(), []);
  noTrace(t, service);
});

t.test('a lead goes with its user, whether they are one in Intercom already or not', async (t) => {
  for (const isOne of [true, false]) {
    const service = await start(t);
    const { simulator } = service;
    await service.post(lead);
    if (!isOne) {
      await service.post({ ...ada, traits: { name: 'Ada Lovelace' } });
      simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /contacts/merge', times: 1 });
    }
    await service.post(ada, { prefer: isOne ? 'wait=60' : 'respond-async' });
    if (!isOne) await until('the merge has failed', () => simulator.count('POST /contacts/merge') === 1);
    const { body } = await admin(service, 'DELETE', person('user:u-ada'));
    t.equal(body.status, 'done');
    t.equal(simulator.contacts().length, 0);
    noTrace(t, service);
    t.match(await admin(service, 'GET', person('email:ada@example.com')), { status: 404 });
  }
});

t.test(
  'a lead is erased by its email, with those of the same email that others made; a user with it is not',
  async (t) => {
    const service = await start(t);
    const { simulator } = service;
    await service.post(lead);
    await intercom(simulator, 'POST', '/contacts', { role: 'lead', email: 'ada@example.com' });
    await intercom(simulator, 'POST', '/contacts', { role: 'user', external_id: 'u-9', email: 'ada@example.com' });
    const { body } = await admin(service, 'DELETE', person('email:ada@example.com'));
    t.equal(body.status, 'done');
    t.match(simulator.contacts(), [{ external_id: 'u-9' }]);
    const { history } = (await admin(service, 'GET', `/events/${body.id}`)).body;
    t.match(history, [{ exchange: { calls: [], warnings: [{ code: 'others_with_this_email' }] } }]);
    t.strictSame(
      rowsOf(service.databasePath).filter((row) => row.includes('ada@')),
      [],
    );
  },
);

t.test(
  'a lead that was merged in Intercom is gone, and the user that it became one with is left to its own erasure',
  async (t) => {
    const service = await start(t);
    const { simulator } = service;
    await service.post(lead);
    const { body: other } = await intercom(simulator, 'POST', '/contacts', { role: 'user', external_id: 'u-9' });
    await intercom(simulator, 'POST', '/contacts/merge', {
      from: simulator.contacts().find(({ role }) => role === 'lead')!.id,
      into: other.id,
    });
    t.equal((await admin(service, 'DELETE', person('email:ada@example.com'))).body.status, 'done');
    t.match(simulator.contacts(), [{ external_id: 'u-9' }]);
    noTrace(t, service);
  },
);

t.test('a search index that lags shows who is deleted already, and that is no reason to go on', async (t) => {
  let aheadMs = 0;
  const service = await start(t, { simulator: { indexLagMs: 120_000, now: () => Date.now() + aheadMs } });
  const { simulator } = service;
  await service.post(lead);
  await intercom(simulator, 'POST', '/contacts', { role: 'lead', email: 'ada@example.com' });
  aheadMs = 200_000;
  const { body } = await admin(service, 'DELETE', person('email:ada@example.com'));
  t.match(body, { status: 'done', intercom: { calls: 3 } });
  t.strictSame(writes(simulator).slice(-3), [
    'DELETE /contacts/{id}',
    'POST /contacts/search',
    'DELETE /contacts/{id}',
  ]);
  noTrace(t, service);
});

t.test('a lead that may just have been created is waited for', async (t) => {
  const service = await start(t);
  const startedAtMs = Date.now();
  service.simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts' });
  await service.post(lead, { prefer: 'respond-async' });
  await until('the attempt is written down', async () => {
    const { body } = await admin(service, 'GET', '/events');
    return body.data[0].attempts === 1;
  });
  const { body } = await admin(service, 'DELETE', person('email:ada@example.com'), 0);
  const story = await until('the erasure waits', async () => {
    const found = (await admin(service, 'GET', `/events/${body.id}`)).body;
    return found.attempts === 1 ? found : null;
  });
  t.match(story, { status: 'queued', history: [{ outcome: 'retry', reason: 'lead_unconfirmed' }] });
  t.ok(Date.parse(story.nextAttemptAt) - startedAtMs >= 180_000, 'as long as the search index may lag');
});

t.test('dead letters and held events of the person go, too, and those that a device left before', async (t) => {
  const service = await start(t, { env: { ANONYMOUS_EVENTS: 'hold' } });
  const { simulator } = service;
  const visit = { type: 'page', name: 'Home', anonymousId: 'device-1', properties: { title: 'Ada Lovelace' } };
  await service.post(visit, { prefer: 'respond-async' });
  await service.post({ ...ada, anonymousId: 'device-1' });
  simulator.inject({
    kind: 'status',
    status: 422,
    endpoint: 'POST /events',
    body: { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] },
  });
  const dead = (await service.post(track('Bad'))).body.events[0]!;
  t.equal(dead.status, 'dead');
  t.equal((await admin(service, 'DELETE', person('anon:device-1'))).body.status, 'done');
  noTrace(t, service);
  t.equal((await admin(service, 'POST', `/events/${dead.id}/redrive`)).status, 404);
  await isBalanced(t, service);

  const visitor = { ...visit, anonymousId: 'device-2', messageId: 'm-2' };
  await service.post(visitor, { prefer: 'respond-async' });
  t.match(await admin(service, 'DELETE', person('anon:device-2')), {
    status: 200,
    body: { status: 'done', intercom: { calls: 0 } },
  });
  noTrace(t, service, ['device-2', 'Lovelace']);
  await isBalanced(t, service);
});

t.test(
  'what a device did for nobody goes with the user that was seen on it; another user of the device stays',
  async (t) => {
    const service = await start(t, { env: { ANONYMOUS_EVENTS: 'filter' } });
    await service.post({ type: 'page', name: 'Lovelace', anonymousId: 'shared' });
    await service.post({ ...ada, anonymousId: 'shared' });
    await service.post({ type: 'identify', userId: 'u-bob', anonymousId: 'shared', traits: { name: 'Bob' } });
    t.equal((await admin(service, 'DELETE', person('user:u-ada'))).body.status, 'done');
    noTrace(t, service);
    t.equal((await admin(service, 'GET', person('user:u-bob'))).body.events.length, 1);
  },
);

t.test('what Intercom refuses is told, kept, and done after a redrive', async (t) => {
  const service = await start(t);
  await service.post(ada);
  service.simulator.inject({
    kind: 'status',
    status: 422,
    endpoint: 'DELETE /contacts/{id}',
    body: { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] },
  });
  const { status, body } = await admin(service, 'DELETE', person('user:u-ada'));
  t.equal(status, 422);
  t.match(body, {
    code: 'refused_by_intercom',
    erasure: { status: 'dead', reason: 'invalid_request', explanation: { remedy: String } },
  });
  const { id } = body.erasure;
  t.equal((await admin(service, 'POST', `/events/${id}/redrive`)).status, 200);
  await erased(service, id);
  noTrace(t, service);
  await isBalanced(t, service);
});

t.test('a second erasure of the same person finds nothing left to do', async (t) => {
  const service = await start(t);
  await service.post(ada);
  const answers = await Promise.all([
    admin(service, 'DELETE', person('user:u-ada')),
    admin(service, 'DELETE', person('user:u-ada')),
  ]);
  t.strictSame(
    answers.map(({ body }) => body.status),
    ['done', 'done'],
  );
  t.strictSame(service.simulator.contacts(), []);
  noTrace(t, service);
  t.match(await admin(service, 'GET', '/people/erasures/evt_000000001'), {
    status: 404,
    body: { code: 'unknown_erasure' },
  });
});
