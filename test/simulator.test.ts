import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { IntercomClient, IntercomError } from 'intercom-client';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { z } from 'zod';
import { startSimulator, type Simulator, type SimulatorOptions } from '../src/simulator/simulator.ts';

const HEADERS = { authorization: 'Bearer demo-token', accept: 'application/json', 'intercom-version': '2.11' };
const NOON = Date.UTC(2026, 1, 25, 12);
const NOON_SECONDS = NOON / 1000;
const USER_NOT_FOUND = refusal(404, 'not_found', 'User Not Found');

function refusal(status: number, code: string, message?: string) {
  return { status, body: { type: 'error.list', errors: [{ code, ...(message !== undefined && { message }) }] } };
}

type Response = { status: number; headers: Record<string, string | string[] | undefined>; body: unknown; text: string };
type Send = (
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Response>;

/** A simulator of its own for each test, and a way to call it. */
async function open(t: Test, options: SimulatorOptions = {}): Promise<{ simulator: Simulator; send: Send }> {
  const simulator = await startSimulator(options);
  t.teardown(() => simulator.close());
  const send: Send = async (method, path, body, headers = HEADERS) => {
    const content = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) };
    const response = await request(simulator.url + path, {
      method,
      headers: body === undefined ? headers : { 'content-type': 'application/json', ...headers },
      ...content,
    });
    const text = await response.body.text();
    return { status: response.statusCode, headers: response.headers, body: tryParse(text), text };
  };
  return { simulator, send };
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const idOf = (response: Response) => z.object({ id: z.string() }).parse(response.body).id;
const foundIds = (response: Response) =>
  z
    .object({ data: z.array(z.object({ id: z.string() })) })
    .parse(response.body)
    .data.map(({ id }) => id);

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await turn();
}

t.test('the official SDK works against it', async (t) => {
  const { simulator } = await open(t, {
    indexLagMs: 0,
    attributes: [{ model: 'contact', name: 'plan', data_type: 'string' }],
  });
  const client = new IntercomClient({ token: 'demo-token', baseUrl: simulator.url, version: '2.11', maxRetries: 0 });
  const failure = async (call: PromiseLike<unknown>) => {
    const [outcome] = await Promise.allSettled([call]);
    if (outcome.status === 'fulfilled') throw new Error('it should have failed');
    return outcome.reason;
  };

  await t.test('a contact is created, found, updated, searched, archived, unarchived and deleted', async (t) => {
    const created = await client.contacts.create({
      external_id: 'sdk-1',
      name: 'Ada',
      custom_attributes: { plan: 'pro' },
    });
    t.match(created, { type: 'contact', role: 'user', external_id: 'sdk-1', custom_attributes: { plan: 'pro' } });
    t.equal((await client.contacts.find({ contact_id: created.id })).name, 'Ada');
    t.equal(
      (await client.contacts.update({ contact_id: created.id, email: 'ada@example.com' })).email,
      'ada@example.com',
    );
    const found = await client.contacts.search({ query: { field: 'external_id', operator: '=', value: 'sdk-1' } });
    t.same(
      found.data.map(({ id }) => id),
      [created.id],
    );
    t.match(await client.contacts.archive({ contact_id: created.id }), { id: created.id, archived: true });
    t.match(await client.contacts.unarchive({ contact_id: created.id }), { id: created.id, archived: false });
    t.match(await client.contacts.delete({ contact_id: created.id }), { id: created.id, deleted: true });
    t.equal(simulator.contact('sdk-1'), undefined);
  });

  await t.test('a lead is merged into a user, whose page of companies is listed', async (t) => {
    const user = await client.contacts.create({ external_id: 'sdk-2' });
    const lead = await client.contacts.create({ role: 'lead' });
    const merged = await client.contacts.mergeLeadInUser({ from: lead.id, into: user.id });
    t.equal(merged.id, user.id);
    const company = await client.companies.createOrUpdate({ company_id: 'acme', name: 'Acme', plan: 'Pro' });
    t.match(await client.companies.attachContact({ contact_id: user.id, id: company.id }), { user_count: 1 });
    const companies = [];
    for await (const each of await client.contacts.listAttachedCompanies({ contact_id: user.id }))
      companies.push(each.name);
    t.same(companies, ['Acme']);
    t.match(await client.companies.retrieve({ company_id: 'acme' }), { id: company.id, plan: { name: 'Pro' } });
  });

  await t.test('an event is created and counted', async (t) => {
    await client.contacts.create({ external_id: 'sdk-3' });
    await client.events.create({ user_id: 'sdk-3', event_name: 'placed-order', created_at: 1_719_492_784 });
    const listed = await client.events.list({ user_id: 'sdk-3', type: 'user', summary: true });
    t.match(listed, {
      type: 'event.summary',
      events: [{ name: 'placed-order', count: 1, first: '2024-06-27T12:53:04.000+00:00' }],
    });
  });

  await t.test('data attributes are created and listed', async (t) => {
    const attribute = { name: 'seats', model: 'company', data_type: 'integer' } as const;
    t.match(await client.dataAttributes.create(attribute), {
      full_name: 'custom_attributes.seats',
      messenger_writable: false,
    });
    const listed = await client.dataAttributes.list({ model: 'company' });
    t.same(
      listed.data?.filter(({ custom }) => custom).map(({ name }) => name),
      ['seats'],
    );
  });

  await t.test('the admin is identified with the region of the workspace', async (t) => {
    t.match(await client.admins.identify(), { type: 'admin', app: { region: 'US', id_code: String } });
  });

  await t.test('its errors arrive as the errors of the SDK', async (t) => {
    const stranger = new IntercomClient({ token: 'wrong', baseUrl: simulator.url, maxRetries: 0 });
    const unauthorized = await failure(stranger.admins.identify());
    t.type(unauthorized, IntercomError);
    t.match(unauthorized, { statusCode: 401, body: { errors: [{ code: 'unauthorized' }] } });
    t.match(await failure(client.contacts.find({ contact_id: 'nobody' })), {
      statusCode: 404,
      body: USER_NOT_FOUND.body,
    });
    const { id } = await client.contacts.create({ external_id: 'sdk-4' });
    const conflict = await failure(client.contacts.create({ external_id: 'sdk-4' }));
    t.type(conflict, IntercomError);
    t.match(conflict, {
      statusCode: 409,
      body: { errors: [{ message: `A contact matching those details already exists with id=${id}` }] },
    });
    simulator.inject({ kind: 'rate_limited' });
    t.match(await failure(client.events.create({ user_id: 'sdk-4', event_name: 'a', created_at: 1 })), {
      statusCode: 429,
    });
  });
});

t.test('an unknown token is refused without rate limit headers, and not counted', async (t) => {
  const { simulator, send } = await open(t);
  for (const headers of [{ accept: 'application/json' }, { ...HEADERS, authorization: 'Bearer wrong' }]) {
    const refused = await send('GET', '/me', undefined, headers);
    t.match(refused, {
      status: 401,
      body: { type: 'error.list', errors: [{ code: 'unauthorized', message: 'Access Token Invalid' }] },
    });
    t.notOk(Object.keys(refused.headers).some((name) => name.startsWith('x-ratelimit')));
    t.match(refused.body, { request_id: refused.headers['x-request-id'] });
  }
  simulator.setTokens(['new-token']);
  t.equal((await send('GET', '/me')).status, 401);
  const accepted = await send('GET', '/me', undefined, { ...HEADERS, authorization: 'Bearer new-token' });
  t.equal(accepted.status, 200);
  t.equal(accepted.headers['x-ratelimit-remaining'], accepted.headers['x-ratelimit-limit']);
  t.notMatch(JSON.stringify(simulator.calls), /demo-token|new-token/, 'no token stands in the record');
});

t.test('a token that lacks a scope is refused with rate limit headers', async (t) => {
  const { simulator, send } = await open(t);
  const body = {
    type: 'error.list',
    errors: [{ code: 'token_unauthorized', message: 'Not authorized to access resource' }],
  };
  simulator.inject({ kind: 'status', status: 401, body });
  const refused = await send('GET', '/me');
  t.match(refused, { status: 401, body });
  t.equal(refused.headers['x-ratelimit-limit'], '1667');
});

t.test('headers and bodies that Intercom refuses are refused', async (t) => {
  const { send } = await open(t);
  const { authorization } = HEADERS;
  const notAcceptable = refusal(
    406,
    'media_type_not_acceptable',
    'The Accept header should send a media type of application/json',
  );
  const unavailable = refusal(
    400,
    'intercom_version_invalid',
    'Requested resource is not available in current API version.',
  );
  const unknownVersion = refusal(400, 'intercom_version_invalid', 'The requested version could not be found');
  const unknown = refusal(404, 'not_found', 'Resource Not Found');
  const futureVersion = { ...HEADERS, 'intercom-version': '9.9' };
  const cases: [title: string, response: Promise<Response>, expect: object][] = [
    ['no Accept', send('GET', '/me', undefined, { authorization }), notAcceptable],
    ['an Accept of HTML', send('GET', '/me', undefined, { authorization, accept: 'text/html' }), notAcceptable],
    ['an unknown version', send('GET', '/me', undefined, futureVersion), unknownVersion],
    ['an endpoint of 2.13', send('GET', '/contacts/find_by_external_id/u'), unavailable],
    ['a bulk endpoint', send('POST', '/contacts/bulk', {}), unavailable],
    ['an unknown path', send('GET', '/nowhere'), unknown],
    ['an unknown method', send('DELETE', '/me'), unknown],
    ['broken JSON', send('POST', '/contacts', '{"role":'), refusal(400, 'parameter_invalid')],
    ['a list as the body', send('POST', '/contacts', []), refusal(400, 'parameter_invalid', "bad 'body' parameter")],
    [
      'another media type',
      send('POST', '/contacts', 'a=b', { ...HEADERS, 'content-type': 'text/plain' }),
      refusal(415, 'unsupported'),
    ],
  ];
  for (const [title, response, expect] of cases) {
    const { status, body, headers } = await response;
    t.match({ status, body }, expect, title);
    t.ok(headers['x-ratelimit-remaining'], `${title} has rate limit headers`);
  }
  t.equal((await send('GET', '/me')).headers['intercom-version'], '2.11', 'the version is echoed');
  const newer = await send('GET', '/contacts/find_by_external_id/u', undefined, {
    ...HEADERS,
    'intercom-version': '2.13',
  });
  t.match(newer, USER_NOT_FOUND, 'with the header of 2.13 that endpoint is there');
});

t.test('the uniqueness of contacts', async (t) => {
  const email = 'e@x.io';
  const user = { role: 'user', external_id: 'X' };
  const userWithEmail = { ...user, email };
  const otherUser = { role: 'user', external_id: 'Y', email };
  const emailUser = { role: 'user', email };
  const lead = { role: 'lead', external_id: 'X', email };
  const exists = (id: string) =>
    refusal(409, 'conflict', `A contact matching those details already exists with id=${id}`);
  const archived = (id: string) =>
    refusal(409, 'conflict', `An archived contact matching those details already exists with id=${id}`);
  type Expect = ((id: string) => object) | 200;
  const rows: [title: string, existing: object, then: 'archive' | 'delete' | '', post: object, expect: Expect][] = [
    ['a user whose external id is taken conflicts', user, '', user, exists],
    ['a user whose external id an archived user has conflicts with that one', user, 'archive', user, archived],
    ['a user whose external id a deleted user has conflicts with that one', user, 'delete', user, archived],
    ['a user with an email alone conflicts with a user of that email', userWithEmail, '', emailUser, exists],
    ['the same where role is left out and the case differs', userWithEmail, '', { email: 'E@X.io' }, exists],
    ['a new external id makes a second user with the same email', otherUser, '', userWithEmail, 200],
    ['a new external id makes a second user beside an email-only one', emailUser, '', userWithEmail, 200],
    ['a lead never conflicts with a user', userWithEmail, '', lead, 200],
    ['a lead never conflicts with a lead', lead, '', lead, 200],
    ['a lead never conflicts with an archived lead', lead, 'archive', lead, 200],
    ['a user with an email does not conflict with a lead of that email', lead, '', emailUser, 200],
  ];
  for (const [title, existing, then, post, expect] of rows) {
    await t.test(title, async (t) => {
      const { simulator, send } = await open(t);
      const id = idOf(await send('POST', '/contacts', existing));
      if (then === 'archive') await send('POST', `/contacts/${id}/archive`);
      if (then === 'delete') await send('DELETE', `/contacts/${id}`);
      const response = await send('POST', '/contacts', post);
      if (expect === 200) {
        t.equal(response.status, 200);
        t.not(idOf(response), id);
      } else {
        t.match(response, expect(id));
        t.equal(simulator.allContacts().length, 1, 'nothing is written');
      }
    });
  }

  await t.test('an update may take the external id of an archived user, but not that of a live contact', async (t) => {
    const { send } = await open(t);
    const first = idOf(await send('POST', '/contacts', user));
    const second = idOf(await send('POST', '/contacts', { external_id: 'Y' }));
    const refused = await send('PUT', `/contacts/${second}`, { external_id: 'X' });
    t.match(refused, exists(first));
    await send('POST', `/contacts/${first}/archive`);
    t.match(await send('PUT', `/contacts/${second}`, { external_id: 'X' }), {
      status: 200,
      body: { external_id: 'X' },
    });
    const restored = await send('POST', `/contacts/${first}/unarchive`);
    t.match(restored, exists(second), 'then the archived one cannot come back');
  });

  await t.test('an update may take the email of another user', async (t) => {
    const { send } = await open(t);
    await send('POST', '/contacts', { ...user, email: 'e@x.io' });
    const second = idOf(await send('POST', '/contacts', { external_id: 'Y' }));
    t.match(await send('PUT', `/contacts/${second}`, { email: 'e@x.io' }), { status: 200, body: { email: 'e@x.io' } });
  });
});

t.test('writing contacts', async (t) => {
  const attributes = [
    { model: 'contact', name: 'plan', data_type: 'string' },
    { model: 'contact', name: 'seats', data_type: 'integer' },
    { model: 'company', name: 'tier', data_type: 'string' },
  ] satisfies SimulatorOptions['attributes'];

  await t.test('a create answers the whole contact and drops unknown keys', async (t) => {
    const { send } = await open(t, { now: () => NOON });
    const long = 'x'.repeat(300);
    const { status, body } = await send('POST', '/contacts', {
      external_id: 'u',
      email: 'Ada@Example.com',
      phone: '+353 87 123 4567',
      name: long,
      avatar: 'https://x.io/a.png',
      signed_up_at: 7,
      type: 'x',
    });
    t.match(
      { status, body },
      {
        status: 200,
        body: {
          type: 'contact',
          id: /^[0-9a-f]{24}$/,
          role: 'user',
          external_id: 'u',
          email: 'ada@example.com',
          phone: '+353 87 123 4567',
          formatted_phone: '+353871234567',
          name: long,
          avatar: { type: 'avatar', image_url: 'https://x.io/a.png' },
          signed_up_at: 7,
          created_at: NOON_SECONDS,
          updated_at: NOON_SECONDS,
          last_seen_at: null,
          custom_attributes: {},
          companies: { type: 'list', data: [], total_count: 0, has_more: false },
        },
      },
    );
  });

  await t.test('a user needs an external id or an email, a lead gets an id of its own', async (t) => {
    const { send } = await open(t);
    t.match(await send('POST', '/contacts', { role: 'user', name: 'Ada' }), refusal(400, 'parameter_not_found'));
    t.match(await send('POST', '/contacts', { role: 'lead', external_id: 'mine' }), {
      body: { role: 'lead', external_id: /^[0-9a-f-]{36}$/ },
    });
    t.match(
      await send('POST', '/contacts', { role: 'contact' }),
      { body: { role: 'lead' } },
      '"contact" is another name for it',
    );
  });

  await t.test('one wrong field refuses all of it', async (t) => {
    const { simulator, send } = await open(t, { attributes });
    const id = idOf(await send('POST', '/contacts', { external_id: 'u', name: 'Ada' }));
    const cases: [body: object, message: string][] = [
      [{ signed_up_at: '2026-02-25' }, "bad 'signed_up_at' parameter"],
      [{ signed_up_at: 1.5 }, "bad 'signed_up_at' parameter"],
      [{ last_seen_at: true }, "bad 'last_seen_at' parameter"],
      [{ role: 'admin' }, "bad 'role' parameter"],
      [{ owner_id: 1 }, 'The owner specified is not a member of the workspace'],
      [{ custom_attributes: { colour: 'red' } }, "Custom attribute 'colour' does not exist"],
      [{ custom_attributes: { tier: 'a' } }, "Custom attribute 'tier' does not exist"],
      [
        { custom_attributes: { plan: { name: 'pro' } } },
        "Custom attribute 'plan' must be a string, a number or a boolean",
      ],
      [{ custom_attributes: { plan: 'pro', seats: 'five' } }, "Custom attribute 'seats' must be of type integer"],
    ];
    for (const [body, message] of cases) {
      const changed = { name: 'Bob', ...body };
      t.match(await send('PUT', `/contacts/${id}`, changed), refusal(400, 'parameter_invalid', message));
      t.match(await send('POST', '/contacts', { external_id: 'v', ...changed }), {
        status: 400,
        body: { errors: [{ message }] },
      });
    }
    t.equal(simulator.contact('u')?.name, 'Ada');
    t.equal(simulator.contacts().length, 1);
    t.match(await send('PUT', `/contacts/${id}`, { owner_id: 991_267_390 }), {
      status: 200,
      body: { owner_id: 991_267_390 },
    });
  });

  await t.test('an update changes the named keys alone, and null clears them', async (t) => {
    let at = NOON;
    const { send } = await open(t, { attributes, now: () => at });
    const whole = {
      external_id: 'u',
      email: 'a@x.io',
      phone: '+1',
      name: 'Ada',
      custom_attributes: { plan: 'pro', seats: 2 },
    };
    const path = `/contacts/${idOf(await send('POST', '/contacts', whole))}`;
    at += 5000;
    t.match(
      await send('PUT', path, {}),
      { body: { ...whole, updated_at: NOON_SECONDS + 5 } },
      'updated_at moves even so',
    );
    t.match(await send('PUT', path, { name: 'Bea', custom_attributes: { seats: 3 } }), {
      body: { ...whole, name: 'Bea', custom_attributes: { plan: 'pro', seats: 3 } },
    });
    const cleared = { external_id: null, email: null, phone: null, name: null, custom_attributes: { plan: null } };
    t.match(await send('PUT', path, cleared), {
      body: { external_id: 'u', email: '', phone: null, name: null, custom_attributes: { plan: null, seats: 3 } },
    });
  });

  await t.test('a lead becomes a user under the same id, never the other way round', async (t) => {
    const { send } = await open(t);
    const path = `/contacts/${idOf(await send('POST', '/contacts', { role: 'lead', email: 'a@x.io' }))}`;
    t.match(await send('PUT', path, { external_id: 'u' }), { body: { role: 'lead', external_id: /^[0-9a-f-]{36}$/ } });
    t.match(await send('PUT', path, { role: 'user', external_id: 'u' }), {
      status: 200,
      body: { role: 'user', external_id: 'u' },
    });
    t.match(
      await send('PUT', path, { role: 'lead' }),
      refusal(400, 'client_error', "Contact with user role can't be converted to a lead"),
    );
  });

  await t.test('a contact that is archived, deleted or merged cannot be found any more', async (t) => {
    const { send } = await open(t);
    const user = idOf(await send('POST', '/contacts', { external_id: 'u' }));
    const lead = idOf(await send('POST', '/contacts', { role: 'lead' }));
    const archived = idOf(await send('POST', '/contacts', { external_id: 'v' }));
    const deleted = idOf(await send('POST', '/contacts', { external_id: 'w' }));
    t.same((await send('POST', `/contacts/${archived}/archive`)).body, {
      id: archived,
      external_id: 'v',
      type: 'contact',
      archived: true,
    });
    t.same((await send('DELETE', `/contacts/${deleted}`)).body, {
      id: deleted,
      external_id: 'w',
      type: 'contact',
      deleted: true,
    });
    t.match(await send('POST', '/contacts/merge', { from: lead, into: user }), { status: 200, body: { id: user } });
    for (const id of [archived, deleted, lead, 'nobody']) {
      t.match(await send('GET', `/contacts/${id}`), USER_NOT_FOUND);
      t.match(await send('PUT', `/contacts/${id}`, { name: 'x' }), USER_NOT_FOUND);
    }
    t.same((await send('POST', `/contacts/${archived}/unarchive`)).body, {
      id: archived,
      external_id: 'v',
      type: 'contact',
      archived: false,
    });
    t.equal((await send('GET', `/contacts/${archived}`)).status, 200);
    const refusals: [id: string, message: string][] = [
      [deleted, 'User has been marked for permanent deletion and is not restorable.'],
      [lead, 'User has been merged and is not restorable.'],
    ];
    for (const [id, message] of refusals) {
      t.match(await send('POST', `/contacts/${id}/unarchive`), refusal(400, 'bad_request', message));
    }
    t.same(foundIds(await send('GET', '/contacts')), [user, archived], 'the list has the live ones');
    t.match(
      await send('POST', '/contacts/merge', { from: user, into: archived }),
      { status: 400 },
      'only a lead can be merged',
    );
  });
});

t.test('search', async (t) => {
  const by = (field: string, operator: string, value: unknown) => ({ query: { field, operator, value } });

  await t.test('creates, updates and archives show after the lag, reads by id at once', async (t) => {
    let at = NOON;
    const { send } = await open(t, { now: () => at });
    const search = async (email: string) => foundIds(await send('POST', '/contacts/search', by('email', '=', email)));
    const id = idOf(await send('POST', '/contacts', { external_id: 'u', email: 'old@x.io' }));
    t.equal((await send('GET', `/contacts/${id}`)).status, 200);
    at += 119_999;
    t.same(await search('old@x.io'), [], 'not yet indexed');
    at += 1;
    t.same(await search('old@x.io'), [id]);

    await send('PUT', `/contacts/${id}`, { email: 'new@x.io' });
    t.same([await search('old@x.io'), await search('new@x.io')], [[id], []], 'the version of two minutes ago');
    t.match(await send('POST', '/contacts/search', by('external_id', '=', 'u')), {
      body: { data: [{ email: 'old@x.io' }] },
    });
    at += 120_000;
    t.same([await search('old@x.io'), await search('new@x.io')], [[], [id]]);

    await send('POST', `/contacts/${id}/archive`);
    t.same(await search('new@x.io'), [id], 'still there');
    at += 120_000;
    t.same(await search('new@x.io'), []);
  });

  await t.test('filters, groups, dates and pages work as documented', async (t) => {
    let at = NOON;
    const { send } = await open(t, {
      now: () => at,
      indexLagMs: 0,
      attributes: [{ model: 'contact', name: 'seats', data_type: 'integer' }],
    });
    const ids: string[] = [];
    for (const [index, name] of ['Ada', 'Bea', 'Cy'].entries()) {
      at = NOON + index * 24 * 3600 * 1000;
      ids.push(
        idOf(
          await send('POST', '/contacts', {
            external_id: `u${index}`,
            email: `${name}@x.io`,
            name,
            custom_attributes: { seats: index },
          }),
        ),
      );
    }
    const search = async (query: unknown) => foundIds(await send('POST', '/contacts/search', { query }));
    const [ada, bea, cy] = ids;
    const filter = (field: string, operator: string, value: unknown) => ({ field, operator, value });
    const cases: [query: unknown, expect: unknown[]][] = [
      [filter('name', '!=', 'Ada'), [bea, cy]],
      [filter('name', 'IN', ['Ada', 'Cy']), [ada, cy]],
      [filter('name', 'NIN', ['Ada', 'Cy']), [bea]],
      [filter('email', '~', 'a@x'), [ada, bea]],
      [filter('email', '^', 'ad'), [ada]],
      [filter('email', '=', 'Ada@x.io'), []],
      [filter('custom_attributes.seats', '>=', '1'), [bea, cy]],
      [filter('created_at', '=', NOON_SECONDS + 11 * 3600), [ada]],
      [filter('created_at', '>', String(NOON_SECONDS - 11 * 3600)), [bea, cy]],
      [filter('created_at', '<', NOON_SECONDS + 24 * 3600), [ada]],
      [{ operator: 'OR', value: [filter('name', '=', 'Ada'), filter('email', '=', 'cy@x.io')] }, [ada, cy]],
      [{ operator: 'AND', value: [filter('email', '=', 'bea@x.io'), filter('role', '=', 'lead')] }, []],
      [
        {
          operator: 'AND',
          value: [
            { operator: 'OR', value: [filter('name', '=', 'Ada'), filter('name', '=', 'Bea')] },
            filter('custom_attributes.seats', '>', 0),
          ],
        },
        [bea],
      ],
    ];
    for (const [query, expect] of cases) t.same(await search(query), expect, JSON.stringify(query));

    const all = filter('role', '=', 'user');
    const page = await send('POST', '/contacts/search', { query: all, pagination: { per_page: 2 } });
    t.match(page.body, {
      type: 'list',
      total_count: 3,
      pages: { type: 'pages', page: 1, per_page: 2, total_pages: 2 },
    });
    const { pages } = z
      .object({ pages: z.object({ next: z.object({ starting_after: z.string() }) }) })
      .parse(page.body);
    const last = await send('POST', '/contacts/search', {
      query: all,
      pagination: { per_page: 2, starting_after: pages.next.starting_after },
    });
    t.same(foundIds(last), [cy]);
    t.notOk(
      z.object({ pages: z.record(z.string(), z.unknown()) }).parse(last.body).pages['next'],
      'the last page has no next',
    );

    const refused: unknown[] = [
      undefined,
      filter('created_at', '>=', 1),
      filter('created_at', '=', 'foobar'),
      filter('nothing', '=', 1),
      filter('custom_attributes.nothing', '=', 1),
      { operator: 'AND', value: Array(16).fill(all) },
      { operator: 'AND', value: [{ operator: 'AND', value: [{ operator: 'AND', value: [all] }] }] },
    ];
    for (const query of refused)
      t.equal((await send('POST', '/contacts/search', { query })).status, 400, JSON.stringify(query));
    t.equal(
      (await send('POST', '/contacts/search', { query: { operator: 'AND', value: Array(15).fill(all) } })).status,
      200,
    );
  });
});

t.test('events', async (t) => {
  const event = { event_name: 'placed-order', created_at: NOON_SECONDS, user_id: 'u' };

  await t.test('are answered 202 without a body, and found by id, then user_id, then email', async (t) => {
    const { simulator, send } = await open(t, { now: () => NOON });
    const user = idOf(await send('POST', '/contacts', { external_id: 'u', email: 'u@x.io' }));
    const lead = idOf(await send('POST', '/contacts', { role: 'lead', email: 'lead@x.io' }));
    const accepted = await send('POST', '/events', { ...event, metadata: { a: 1 } });
    t.match({ status: accepted.status, text: accepted.text }, { status: 202, text: '' });
    t.same(simulator.timeline('u'), [
      { sequence: 1, eventName: 'placed-order', createdAt: NOON_SECONDS, metadata: { a: 1 }, receivedAt: NOON },
    ]);
    const named = (event_name: string) => ({ event_name, created_at: 1 });
    t.equal((await send('POST', '/events', { ...named('by-id'), id: lead, user_id: 'u' })).status, 202);
    t.equal(
      (await send('POST', '/events', { ...named('by-user-id'), user_id: 'u', email: 'nobody@x.io' })).status,
      202,
    );
    t.equal((await send('POST', '/events', { ...named('by-email'), email: 'u@x.io' })).status, 202);
    t.same(
      simulator.timeline(lead).map(({ eventName }) => eventName),
      ['by-id'],
    );
    t.same(
      simulator.timeline(user).map(({ eventName }) => eventName),
      ['placed-order', 'by-user-id', 'by-email'],
    );
    t.match(
      await send('POST', '/events', { ...named('x'), email: 'lead@x.io' }),
      USER_NOT_FOUND,
      'an email does not find a lead',
    );
    t.match(await send('POST', '/events', { ...named('x'), user_id: 'nobody' }), USER_NOT_FOUND);
    t.match(await send('POST', '/events', { ...named('x'), id: 'nobody', user_id: 'u' }), USER_NOT_FOUND);
    await send('POST', '/contacts', { external_id: 'v', email: 'u@x.io' });
    const ambiguous = 'Multiple existing users match this email address u@x.io - must be more specific using user_id';
    t.match(await send('POST', '/events', { ...named('x'), email: 'u@x.io' }), refusal(409, 'conflict', ambiguous));
  });

  await t.test('that are incomplete or malformed are refused', async (t) => {
    const { simulator, send } = await open(t);
    await send('POST', '/contacts', { external_id: 'u' });
    const cases: [body: object, code: string, message: string][] = [
      [{ event_name: undefined }, 'parameter_not_found', 'event_name not specified'],
      [{ event_name: 5 }, 'parameter_invalid', "bad 'event_name' parameter"],
      [{ created_at: undefined }, 'parameter_not_found', 'created_at not specified'],
      [{ created_at: '2026-02-25' }, 'parameter_invalid', "bad 'created_at' parameter"],
      [{ created_at: 1.5 }, 'parameter_invalid', "bad 'created_at' parameter"],
      [{ user_id: undefined }, 'parameter_not_found', 'id, user_id or email not specified'],
      [{ metadata: 'x' }, 'parameter_invalid', "bad 'metadata' parameter"],
    ];
    for (const [body, code, message] of cases) {
      t.match(await send('POST', '/events', { ...event, ...body }), refusal(400, code, message));
    }
    t.same(simulator.timeline('u'), []);
  });

  await t.test('of one person, name and second are stored once, and answered 202 all the same', async (t) => {
    const { simulator, send } = await open(t);
    await send('POST', '/contacts', { external_id: 'u' });
    await send('POST', '/contacts', { external_id: 'v' });
    const bodies = [
      { ...event, event_name: 'Completed.Order', metadata: { first: true } },
      { ...event, event_name: 'completed-order' },
      { ...event, event_name: 'completed$order', metadata: { other: true } },
      { ...event, event_name: 'completed-order', created_at: NOON_SECONDS + 1 },
      { ...event, event_name: 'completed-order', user_id: 'v' },
    ];
    for (const body of bodies) t.equal((await send('POST', '/events', body)).status, 202);
    t.match(simulator.timeline('u'), [
      { eventName: 'Completed-Order', metadata: { first: true } },
      { createdAt: NOON_SECONDS + 1 },
    ]);
    t.equal(simulator.timeline('u').length, 2);
    t.equal(simulator.timeline('v').length, 1);
    t.match(simulator.summary(), { eventsStored: 3, duplicatesIgnored: 2, eventNames: 1 });
  });

  await t.test('keep the first ten metadata keys, and flag what Intercom cannot use', async (t) => {
    const { simulator, send } = await open(t);
    await send('POST', '/contacts', { external_id: 'u' });
    const metadata = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`k${index}`, index]));
    await send('POST', '/events', { ...event, metadata });
    const [stored] = simulator.timeline('u');
    t.same(Object.keys(stored?.metadata ?? {}), Object.keys(metadata).slice(0, 10));
    t.same(stored?.flags, ["metadata 'k10' is dropped", "metadata 'k11' is dropped"]);
    const rich = {
      link: { url: 'https://x.io', value: 'x' },
      price: { amount: 1999, currency: 'eur' },
      items: [{ id: 1 }],
    };
    await send('POST', '/events', { ...event, created_at: NOON, metadata: rich });
    t.match(simulator.timeline('u')[1], { metadata: rich });
    t.same(simulator.timeline('u')[1]?.flags, ["metadata 'items' is nested", 'created_at is in milliseconds']);
  });

  await t.test('of a 121st name are refused, while the 120 known names go on', async (t) => {
    const { simulator, send } = await open(t);
    await send('POST', '/contacts', { external_id: 'u' });
    for (let index = 0; index < 120; index += 1) {
      t.equal((await send('POST', '/events', { ...event, event_name: `name-${index}` })).status, 202);
    }
    t.match(
      await send('POST', '/events', { ...event, event_name: 'one-more' }),
      refusal(422, '422', 'Cannot have more than 120 active event names'),
    );
    t.equal((await send('POST', '/events', { ...event, event_name: 'NAME-7', created_at: 1 })).status, 202);
    t.equal(simulator.timeline('u').length, 121);
  });

  await t.test('of a lead move to the user that it is merged into', async (t) => {
    const { simulator, send } = await open(t);
    const user = idOf(await send('POST', '/contacts', { external_id: 'u' }));
    const lead = idOf(await send('POST', '/contacts', { role: 'lead' }));
    const company = idOf(await send('POST', '/companies', { company_id: 'acme' }));
    await send('POST', `/contacts/${lead}/companies`, { id: company });
    const names = [
      [lead, 'a'],
      [user, 'b'],
      [lead, 'c'],
    ] as const;
    for (const [id, event_name] of names) await send('POST', '/events', { id, event_name, created_at: 1 });
    await send('POST', '/contacts/merge', { from: lead, into: user });
    t.same(
      simulator.timeline('u').map(({ eventName }) => eventName),
      ['a', 'b', 'c'],
      'in order of arrival',
    );
    t.match(await send('POST', '/events', { id: lead, event_name: 'd', created_at: 1 }), USER_NOT_FOUND);
    await send('POST', '/events', { id: user, event_name: 'a', created_at: 1 });
    t.equal(simulator.timeline('u').length, 3, 'what the lead had sent is known');
    t.same(
      simulator.companies().map(({ contactIds }) => contactIds),
      [[user]],
      'so do its companies',
    );
  });

  await t.test('are listed newest first, in pages, for 90 days; the summary counts all', async (t) => {
    const { send } = await open(t, { now: () => NOON });
    const id = idOf(await send('POST', '/contacts', { external_id: 'u', email: 'u@x.io' }));
    const times = [0, -60, -60, -91 * 24 * 3600];
    for (const [index, offset] of times.entries()) {
      await send('POST', '/events', {
        ...event,
        event_name: index === 2 ? 'viewed' : 'placed-order',
        created_at: NOON_SECONDS + offset,
      });
    }
    const Page = z.object({
      events: z.array(z.object({ event_name: z.string(), created_at: z.number() })),
      pages: z.object({ next: z.string().optional() }),
    });
    const read = async (path: string) => Page.parse((await send('GET', path)).body);
    const names: string[] = [];
    let path: string | undefined = '/events?type=user&user_id=u&per_page=1';
    while (path !== undefined) {
      const page: z.infer<typeof Page> = await read(path);
      names.push(...page.events.map(({ event_name, created_at }) => `${event_name} ${created_at - NOON_SECONDS}`));
      const next = page.pages.next;
      path = next === undefined ? undefined : next.slice('https://api.intercom.io'.length);
    }
    t.same(names, ['placed-order 0', 'viewed -60', 'placed-order -60']);
    t.match(await send('GET', `/events?type=user&intercom_user_id=${id}&summary=true`), {
      body: {
        type: 'event.summary',
        user_id: 'u',
        email: 'u@x.io',
        events: [
          { name: 'placed-order', count: 3 },
          { name: 'viewed', count: 1 },
        ],
      },
    });
    t.match(await send('GET', '/events?type=user&user_id=nobody'), USER_NOT_FOUND);
    t.equal((await send('GET', '/events?user_id=u')).status, 400, 'type=user is required');
  });
});

t.test('rate limits', async (t) => {
  const limits = ({ headers }: Response) =>
    ['limit', 'remaining', 'reset'].map((name) => Number(headers[`x-ratelimit-${name}`]));

  await t.test('windows of ten seconds follow the wall clock, and the headers count before the request', async (t) => {
    let at = NOON + 3_999;
    const { simulator, send } = await open(t, { limitPerMinute: 13, now: () => at });
    const end = NOON_SECONDS + 12;
    t.same(limits(await send('GET', '/me')), [3, 3, end], 'ceil(13 / 6), all of it, two seconds after the window');
    t.same(limits(await send('GET', '/contacts/nobody')), [3, 2, end], 'a 404 counts');
    t.same(limits(await send('POST', '/contacts', '{')), [3, 1, end], 'a 400 counts');
    const refused = await send('GET', '/me');
    t.match(refused, refusal(429, 'rate_limit_exceeded', 'Exceeded rate limit of 3 in 10_seconds'));
    t.same(limits(refused), [3, 0, end]);
    t.equal(refused.headers['retry-after'], undefined);
    at = NOON + 9_999;
    t.equal((await send('GET', '/me')).status, 429, 'up to the end of the window');
    at = NOON + 10_000;
    const next = await send('GET', '/me');
    t.same(limits(next), [3, 3, end + 10]);
    t.equal(next.headers['date'], new Date(at).toUTCString(), 'the Date header tells the same clock');
    t.same(
      simulator.calls.map(({ committed }) => committed),
      [true, false, false, false, false, true],
    );
  });

  await t.test('each token has a budget of its own, the pool of the workspace is shared', async (t) => {
    const { simulator, send } = await open(t, {
      limitPerMinute: 12,
      now: () => NOON,
      tokens: ['demo-token', 'other'],
      resetOffsetSeconds: 0,
    });
    const other = { ...HEADERS, authorization: 'Bearer other' };
    t.same(limits(await send('GET', '/me')), [2, 2, NOON_SECONDS + 10]);
    t.same(limits(await send('GET', '/me', undefined, other)), [2, 2, NOON_SECONDS + 10]);
    simulator.configure({ workspaceLimitPerMinute: 12 });
    const refused = await send('GET', '/me');
    t.equal(refused.status, 429);
    t.same(limits(refused), [2, 1, NOON_SECONDS + 10], 'refused with budget left');
  });

  await t.test('without a limit the headers are still there', async (t) => {
    const { send } = await open(t, { limitPerMinute: Infinity });
    t.equal((await send('GET', '/me')).headers['x-ratelimit-limit'], '1000000000');
  });
});

t.test('faults', async (t) => {
  const ada = { external_id: 'ada' };

  await t.test('status answers that status instead of executing, with the usual or a given body', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'status', status: 503 });
    const unavailable = await send('POST', '/contacts', ada);
    t.match(unavailable, refusal(503, 'service_unavailable', 'Sorry, the API service is temporarily unavailable'));
    t.ok(unavailable.headers['x-ratelimit-limit']);
    simulator.inject({
      kind: 'status',
      status: 200,
      body: '{"type":"cont',
      contentType: 'application/json',
      headers: { 'x-odd': 'yes' },
    });
    t.match(await send('POST', '/contacts', ada), {
      status: 200,
      text: '{"type":"cont',
      headers: { 'x-odd': 'yes', 'content-type': 'application/json' },
    });
    t.same(simulator.contacts(), []);
    t.match(simulator.calls, [
      { fault: 'status', status: 503, committed: false },
      { fault: 'status', status: 200, committed: false },
    ]);
    t.equal((await send('POST', '/contacts', ada)).status, 200, 'each struck once');
  });

  await t.test("html is a load balancer's page, without request id or rate limit", async (t) => {
    const { simulator, send } = await open(t);
    for (const status of [403, 502, 504] as const) {
      simulator.inject({ kind: 'html', status });
      const page = await send('POST', '/contacts', ada);
      t.match(page, { status, text: /^<html>/, headers: { 'content-type': 'text/html', server: 'awselb/2.0' } });
      t.notOk(Object.keys(page.headers).some((name) => name.startsWith('x-')));
    }
    t.same(simulator.contacts(), []);
  });

  await t.test('reset_before breaks the connection and executes nothing', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'reset_before' });
    await t.rejects(send('POST', '/contacts', ada), { code: 'ECONNRESET' });
    t.same(simulator.contacts(), []);
    t.match(simulator.calls, [{ fault: 'reset_before', status: 0, committed: false }]);
  });

  await t.test('reset_after executes, then breaks the connection', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'reset_after' });
    await t.rejects(send('POST', '/contacts', ada), { code: 'ECONNRESET' });
    t.match(simulator.contacts(), [ada]);
    t.match(simulator.calls, [{ fault: 'reset_after', status: 0, committed: true }]);
    t.equal((await send('POST', '/contacts', ada)).status, 409);
  });

  await t.test('hang never answers nor executes, and ends when the simulator closes', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'hang' });
    const pending = t.rejects(send('POST', '/contacts', ada));
    await until(() => simulator.calls[0]?.fault === 'hang');
    t.same(simulator.contacts(), []);
    await simulator.close();
    await pending;
  });

  await t.test('hang with a time executes and answers after it', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'hang', ms: 40 });
    const pending = send('POST', '/contacts', ada);
    await until(() => simulator.count() === 1);
    t.same(simulator.contacts(), [], 'nothing yet');
    t.equal((await pending).status, 200);
    t.match(simulator.contacts(), [ada]);
  });

  await t.test('hang_after executes and never answers', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'hang_after' });
    const pending = t.rejects(send('POST', '/contacts', ada));
    await until(() => simulator.contact('ada') !== undefined);
    t.match(simulator.calls, [{ fault: 'hang_after', status: 0, committed: true }]);
    await simulator.close();
    await pending;
  });

  await t.test('slow executes at once and answers later', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'slow', ms: 40 });
    const pending = send('POST', '/contacts', ada);
    await until(() => simulator.contact('ada') !== undefined);
    t.match(simulator.calls, [{ status: 0, committed: true }]);
    t.equal((await pending).status, 200);
    t.match(simulator.calls, [{ fault: 'slow', status: 200 }]);
  });

  await t.test('rate_limited answers 429 although budget is left', async (t) => {
    const { simulator, send } = await open(t);
    simulator.inject({ kind: 'rate_limited' });
    t.match(await send('POST', '/contacts', ada), {
      status: 429,
      headers: { 'x-ratelimit-remaining': '1667' },
      body: { errors: [{ code: 'too_many_requests' }] },
    });
    t.same(simulator.contacts(), []);
  });

  await t.test('company_race strikes the first create of a company, and the next one succeeds', async (t) => {
    const { simulator, send } = await open(t);
    await send('POST', '/companies', { company_id: 'old' });
    simulator.inject({ kind: 'company_race' });
    t.equal((await send('POST', '/companies', { company_id: 'old' })).status, 200, 'an existing one is left alone');
    t.equal((await send('POST', '/contacts', ada)).status, 200);
    t.match(
      await send('POST', '/companies', { company_id: 'new', name: 'New' }),
      refusal(400, 'unique_company_constraint', 'Company already exists.'),
    );
    t.match(simulator.companies()[1], { company_id: 'new', name: null }, 'somebody else has created it');
    t.match(await send('POST', '/companies', { company_id: 'new', name: 'New' }), {
      status: 200,
      body: { name: 'New' },
    });
  });

  await t.test('strike only what they match, as often as they say', async (t) => {
    const { simulator, send } = await open(t);
    const statuses = async (paths: string[]) => {
      const all: number[] = [];
      for (const path of paths) all.push((await send('GET', path)).status);
      return all;
    };
    simulator.inject({ kind: 'status', status: 500, endpoint: 'GET /contacts/{id}', times: 2 });
    t.same(await statuses(['/me', '/contacts/a', '/contacts/b', '/contacts/c']), [200, 500, 500, 404]);
    simulator.inject({ kind: 'status', status: 500, times: Infinity, when: (call) => call.path.endsWith('/b') });
    t.same(await statuses(['/me', '/contacts/b', '/contacts/b']), [200, 500, 500]);
    simulator.clearFaults();
    t.same(await statuses(['/contacts/b']), [404]);

    const draw = async (seed: number) => {
      simulator.inject({ kind: 'status', status: 500, times: Infinity, probability: 0.5, seed });
      const drawn = await statuses(Array<string>(40).fill('/me'));
      simulator.clearFaults();
      return drawn;
    };
    const first = await draw(7);
    t.ok(first.includes(200) && first.includes(500), 'some are struck and some are not');
    t.same(await draw(7), first, 'the same seed strikes the same calls');
    t.notSame(await draw(8), first);
  });
});

t.test('companies', async (t) => {
  const attributes = [{ model: 'company', name: 'tier', data_type: 'string' }] satisfies SimulatorOptions['attributes'];

  await t.test('are created and updated by a company_id that never changes', async (t) => {
    const { simulator, send } = await open(t, { attributes, now: () => NOON });
    const whole = {
      company_id: 'acme',
      name: 'Acme',
      plan: 'Pro',
      size: 5,
      website: 'https://acme.io',
      industry: 'Rockets',
      remote_created_at: 7,
      monthly_spend: 155.98,
      custom_attributes: { tier: 'a' },
    };
    const created = await send('POST', '/companies', whole);
    const shown = {
      ...whole,
      type: 'company',
      plan: { type: 'plan', name: 'Pro' },
      monthly_spend: 155,
      user_count: 0,
      created_at: NOON_SECONDS,
    };
    t.match(created, { status: 200, body: shown });
    const updated = await send('POST', '/companies', { company_id: 'acme', name: 'Acme Inc' });
    t.match(updated, { status: 200, body: { ...shown, name: 'Acme Inc', id: idOf(created) } });
    t.match(await send('PUT', `/companies/${idOf(created)}`, { company_id: 'other', size: 6 }), {
      body: { company_id: 'acme', size: 6 },
    });
    t.equal(simulator.companies().length, 1);
    t.match(await send('DELETE', `/companies/${idOf(created)}`), { body: { object: 'company', deleted: true } });
    for (const path of [`/companies/${idOf(created)}`, '/companies?company_id=acme']) {
      t.match(await send('GET', path), refusal(404, 'company_not_found', 'Company Not Found'));
    }
  });

  await t.test('with an unknown key, a wrong type or an undefined attribute are refused', async (t) => {
    const { simulator, send } = await open(t, { attributes });
    const cases: [body: object, code: string, message: string][] = [
      [{ test: 'invalid' }, 'bad_request', "bad 'test' parameter"],
      [{ company_id: 'a', size: 'big' }, 'bad_request', "bad 'size' parameter"],
      [{ company_id: 'a', monthly_spend: 2 ** 31 }, 'bad_request', "bad 'monthly_spend' parameter"],
      [
        { company_id: 'a', custom_attributes: { isOpenSource: true } },
        'parameter_invalid',
        "Custom attribute 'isOpenSource' does not exist",
      ],
      [{ name: 'Acme' }, 'parameter_not_found', 'company_id not specified'],
    ];
    for (const [body, code, message] of cases) {
      t.match(await send('POST', '/companies', body), refusal(400, code, message));
    }
    t.same(simulator.companies(), []);
  });

  await t.test('count the live contacts that are attached', async (t) => {
    const { simulator, send } = await open(t);
    const contact = idOf(await send('POST', '/contacts', { external_id: 'u' }));
    const company = idOf(await send('POST', '/companies', { company_id: 'acme' }));
    const path = `/contacts/${contact}/companies`;
    t.same(foundIds(await send('GET', '/companies')), [], 'hidden while nobody is attached');
    t.match(await send('POST', path, {}), refusal(400, 'parameter_not_found', 'company not specified'));
    t.match(await send('POST', path, { id: 'acme' }), refusal(404, 'company_not_found'), 'company_id does not find it');
    t.match(await send('POST', '/contacts/nobody/companies', { id: company }), USER_NOT_FOUND);
    for (const _ of [1, 2])
      t.match(
        await send('POST', path, { id: company }),
        { status: 200, body: { user_count: 1 } },
        'attaching again changes nothing',
      );
    t.same(foundIds(await send('GET', '/companies')), [company]);
    t.same(foundIds(await send('GET', `/companies/${company}/contacts`)), [contact]);
    t.match(simulator.contact('u')?.companies, { total_count: 1, data: [{ id: company }] });
    await send('POST', `/contacts/${contact}/archive`);
    t.match(
      await send('GET', `/companies/${company}`),
      { body: { user_count: 0 } },
      'an archived contact is not counted',
    );
    await send('POST', `/contacts/${contact}/unarchive`);
    t.same(
      simulator.companies().map(({ contactIds }) => contactIds),
      [[contact]],
    );
    t.match(await send('DELETE', `${path}/${company}`), { status: 200, body: { user_count: 0 } });
    t.match(await send('DELETE', `${path}/${company}`), refusal(404, 'company_not_found'));
  });

  await t.test('of one contact are at most 1000', async (t) => {
    const { send } = await open(t, { limitPerMinute: Infinity });
    const path = `/contacts/${idOf(await send('POST', '/contacts', { external_id: 'u' }))}/companies`;
    for (let index = 0; index < 500; index += 1) {
      const ids = await Promise.all(
        [0, 500].map((offset) => send('POST', '/companies', { company_id: `c${index + offset}` })),
      );
      await Promise.all(ids.map((company) => send('POST', path, { id: idOf(company) })));
    }
    const last = idOf(await send('POST', '/companies', { company_id: 'last' }));
    t.match(
      await send('POST', path, { id: last }),
      refusal(400, 'contact_company_limit_exceeded', 'Contact has reached the maximum of 1000 company associations'),
    );
  });
});

t.test('data attributes', async (t) => {
  await t.test('must have an allowed name and type, unique over both models', async (t) => {
    const { send } = await open(t);
    const ring = { name: 'The One Ring', model: 'company', data_type: 'string' };
    t.match(await send('POST', '/data_attributes', ring), {
      status: 200,
      body: {
        type: 'data_attribute',
        full_name: 'custom_attributes.The One Ring',
        custom: true,
        archived: false,
        api_writable: true,
        messenger_writable: false,
        model: 'company',
      },
    });
    const cases: [body: object, message: string][] = [
      [
        ring,
        "You already have 'The One Ring' in your company data. To save this as new company data, use a different name.",
      ],
      [
        { ...ring, model: 'contact' },
        "You already have 'The One Ring' in your company data. To save this as new people data, use a different name.",
      ],
      [
        { ...ring, name: '!nv@l!d n@me' },
        'Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens',
      ],
      [{ ...ring, name: 'Second', data_type: 'mithril' }, "Data Type isn't an option"],
      [{ description: 'Just a plain old ring' }, 'The Data Attribute model field must be either contact or company'],
      [{ ...ring, name: 'Name' }, "'Name' is one of our standard attributes. To save this data, use a different name."],
      [{ ...ring, name: 'List', options: { value: '1' } }, "Options isn't an array"],
    ];
    for (const [body, message] of cases) {
      t.match(await send('POST', '/data_attributes', body), refusal(400, 'parameter_invalid', message));
    }
  });

  await t.test('that are archived, or do not list the value, refuse the contact', async (t) => {
    const { send } = await open(t);
    const attribute = {
      name: 'colour',
      model: 'contact',
      data_type: 'string',
      options: [{ value: 'red' }, { value: 'blue' }],
    };
    const { id } = z.object({ id: z.int() }).parse((await send('POST', '/data_attributes', attribute)).body);
    const write = (colour: string) => send('POST', '/contacts', { external_id: colour, custom_attributes: { colour } });
    t.equal((await write('red')).status, 200);
    t.equal((await write('green')).status, 400);
    t.equal((await send('PUT', `/data_attributes/${id}`, { archived: true })).status, 200);
    t.match(await write('blue'), refusal(400, 'parameter_invalid', "Custom attribute 'colour' does not exist"));
    const names = async (query: string) =>
      z
        .object({ data: z.array(z.object({ name: z.string(), custom: z.boolean() })) })
        .parse((await send('GET', `/data_attributes${query}`)).body)
        .data.filter(({ custom }) => custom)
        .map(({ name }) => name);
    t.same(await names('?model=contact'), []);
    t.same(await names('?model=contact&include_archived=true'), ['colour']);
    t.same(await names('?model=company&include_archived=true'), []);
    t.match(await send('PUT', '/data_attributes/99', {}), refusal(404, 'field_not_found'));
  });

  await t.test('are at most 250', async (t) => {
    const attributes = Array.from({ length: 250 }, (_, index) => ({
      model: 'contact' as const,
      name: `a${index}`,
      data_type: 'string',
    }));
    const { send } = await open(t, { attributes });
    const attribute = { name: 'b', model: 'company', data_type: 'string' };
    t.match(await send('POST', '/data_attributes', attribute), refusal(400, 'custom_data_limit_reached'));
  });
});

t.test('the record', async (t) => {
  await t.test('has every call in order of arrival, and counts them by endpoint', async (t) => {
    const { simulator, send } = await open(t, { now: () => NOON });
    const id = idOf(await send('POST', '/contacts', { external_id: 'u' }));
    await send('GET', `/contacts/${id}?x=1`);
    await send('PUT', `/contacts/${id}`, '{');
    await send('DELETE', `/contacts/${id}/companies/c%201`);
    t.match(simulator.calls, [
      {
        index: 0,
        at: NOON,
        method: 'POST',
        path: '/contacts',
        endpoint: 'POST /contacts',
        requestBody: { external_id: 'u' },
        status: 200,
        responseBody: { id },
        committed: true,
      },
      {
        index: 1,
        path: `/contacts/${id}?x=1`,
        endpoint: 'GET /contacts/{id}',
        requestBody: undefined,
        headers: { 'intercom-version': '2.11' },
      },
      { index: 2, endpoint: 'PUT /contacts/{id}', requestBody: '{', status: 400, committed: false },
      { index: 3, endpoint: 'DELETE /contacts/{id}/companies/{id}', status: 404 },
    ]);
    t.equal(simulator.count(), 4);
    t.equal(simulator.count('PUT /contacts/{id}'), 1);
    t.equal(simulator.count('POST /events'), 0);
  });

  await t.test('keeps the newest calls when it is told how many', async (t) => {
    const { simulator, send } = await open(t, { keepCalls: 10 });
    for (let index = 0; index < 25; index += 1) await send('GET', '/me');
    t.ok(simulator.calls.length >= 10 && simulator.calls.length <= 11);
    t.equal(simulator.calls.at(-1)?.index, 24);
    t.equal(simulator.count('GET /me'), 25, 'the count covers all');
  });

  await t.test('is forgotten by a reset, with the state and the faults', async (t) => {
    const { simulator, send } = await open(t, {
      attributes: [{ model: 'contact', name: 'plan', data_type: 'string' }],
    });
    await send('POST', '/contacts', { external_id: 'u' });
    simulator.inject({ kind: 'status', status: 500 });
    simulator.reset();
    t.same([simulator.calls, simulator.count(), simulator.allContacts()], [[], 0, []]);
    t.equal(
      (await send('POST', '/contacts', { external_id: 'u', custom_attributes: { plan: 'pro' } })).status,
      200,
      'predefined attributes are back',
    );
  });
});

t.test('other processes control it over HTTP, without a token and unrecorded', async (t) => {
  const { simulator, send } = await open(t);
  const control: Send = (method, path, body) => send(method, `/_simulator${path}`, body, {});
  await send('POST', '/contacts', { external_id: 'u v' });
  await send('POST', '/events', { event_name: 'a', created_at: 1, user_id: 'u v' });
  await send('POST', '/companies', { company_id: 'acme' });
  t.match(await control('GET', '/calls?since=1'), {
    body: { next: 3, calls: [{ index: 1, endpoint: 'POST /events' }, { index: 2 }] },
  });
  t.match(await control('GET', '/contacts'), { body: { contacts: [{ external_id: 'u v' }] } });
  t.match(await control('GET', '/timeline/u%20v'), { body: { events: [{ eventName: 'a', createdAt: 1 }] } });
  t.match(await control('GET', '/companies'), { body: { companies: [{ company_id: 'acme', contactIds: [] }] } });
  t.same((await control('GET', '/summary')).body, {
    calls: 3,
    endpoints: { 'POST /contacts': 1, 'POST /events': 1, 'POST /companies': 1 },
    contacts: 1,
    companies: 1,
    eventsStored: 1,
    duplicatesIgnored: 0,
    eventNames: 1,
  });

  await control('POST', '/faults', { kind: 'status', status: 500, times: 'Infinity' });
  for (const _ of [1, 2]) t.equal((await send('GET', '/me')).status, 500);
  await control('DELETE', '/faults');
  t.equal((await send('GET', '/me')).status, 200);
  t.match(await control('POST', '/faults', { kind: 'earthquake' }), { status: 400, body: { error: /kind/ } });
  t.match(await control('POST', '/faults', '{'), { status: 400 });

  await control('PUT', '/settings', { limitPerMinute: 6 });
  t.equal((await send('GET', '/me')).status, 429);
  await control('PUT', '/settings', { limitPerMinute: 'Infinity', indexLagMs: 0, latencyMs: 1 });
  t.match(await send('POST', '/contacts/search', { query: { field: 'external_id', operator: '=', value: 'u v' } }), {
    body: { total_count: 1 },
  });
  await control('PUT', '/tokens', { tokens: ['other'] });
  t.equal((await send('GET', '/me')).status, 401);
  await control('POST', '/reset');
  t.same([simulator.count(), simulator.contacts()], [0, []]);
  t.equal((await control('GET', '/nothing')).status, 404);
});

t.test('the process says where it is and which token it takes, and ends on SIGTERM', async (t) => {
  const env = {
    ...process.env,
    SIMULATOR_PORT: '0',
    SIMULATOR_TOKENS: 'one, two',
    SIMULATOR_REGION: 'Europe',
    SIMULATOR_HOST: '',
  };
  const main = new URL('../src/simulator/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data');
  const url = /^Intercom simulator ready at (http:\/\/127\.0\.0\.1:\d+), access token: one or two\n$/.exec(
    String(line),
  )?.[1];
  t.ok(url, String(line));
  const response = await request(`${url}/me`, { headers: { ...HEADERS, authorization: 'Bearer two' } });
  t.match(await response.body.json(), { app: { region: 'Europe' } });
  child.kill('SIGTERM');
  t.same(await once(child, 'exit'), [0, null]);
});

t.test('the process names every wrong setting and does not start', async (t) => {
  const env = { ...process.env, SIMULATOR_PORT: 'x', SIMULATOR_REGION: 'Mars' };
  const main = new URL('../src/simulator/main.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [main], { env, stdio: ['ignore', 'ignore', 'pipe'] });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  t.same(await once(child, 'close'), [1, null]);
  t.match(text, /SIMULATOR_PORT/);
  t.match(text, /SIMULATOR_REGION/);
});
