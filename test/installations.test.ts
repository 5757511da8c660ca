import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { tryOut } from '../src/delivery.ts';
import { startSimulator } from '../src/simulator/simulator.ts';
import { type Service, startService, temporaryFolder, until } from './service.ts';

const adminToken = 'an-admin-token-of-this-test';
const noDefault = { INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '', ADMIN_TOKEN: adminToken };
const tokens = ['first-access-token', 'second-access-token'];

type Body = {
  id: string;
  status: string;
  ingest_path: string;
  error: { message: string };
  data: { action: string; changes: object }[];
};
type Reply = { status: number; body: Body };

async function admin({ url }: Service, method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, body?: object) {
  const response = await request(`${url}/v1/admin${path}`, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, ...(body && { 'content-type': 'application/json' }) },
    body: body ? JSON.stringify(body) : null,
  });
  const text = await response.body.text();
  const reply: Reply = { status: response.statusCode, body: JSON.parse(text || '{}') };
  return reply;
}

/** The body of the curl in Signal's documentation. */
const install = (service: Service, accessToken: string, more: object = {}) =>
  admin(service, 'POST', '/integration-catalog/intercom/install', {
    name: 'Intercom',
    variant: 'default',
    config: { access_token: accessToken, region: 'us' },
    delivery_mode: 'server_side',
    ...more,
  });

async function ingest({ url }: Service, path: string, event: object): Promise<Reply> {
  const response = await request(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
  });
  return { status: response.statusCode, body: JSON.parse(await response.body.text()) };
}

const track = (userId: string, event = 'A') => ({ type: 'track', event, userId });

t.test("the install call of Signal's documentation installs, and events flow", async (t) => {
  const service = await startService(t, { env: noDefault, simulator: { tokens } });
  const before = await ingest(service, '/ingest', track('u'));
  t.match(before, { status: 503, body: { code: 'no_installation' } });
  const { status, body } = await install(service, tokens[0]!);
  t.equal(status, 201);
  t.match(body, {
    id: /^int_/,
    name: 'Intercom',
    vendor: 'intercom',
    managed_by: 'api',
    workspace: { name: String },
    revision: { id: /^rev_/, revision_number: 1, config: { access_token: '***oken', region: 'us' } },
    ingest_path: `/ingest/${body.id}`,
  });
  t.match(await ingest(service, '/ingest', track('u')), { status: 200, body: { events: [{ status: 'delivered' }] } });
  t.match(await ingest(service, body.ingest_path, track('v')), { body: { events: [{ status: 'delivered' }] } });
  t.equal((await ingest(service, '/ingest/int_unknown', track('v'))).status, 404);
  t.match(await admin(service, 'GET', '/integrations'), { body: { data: [{ id: body.id, status: 'active' }] } });
});

t.test('what can not work is refused with what to change, and nothing is stored', async (t) => {
  const service = await startService(t, { env: noDefault, simulator: { tokens, region: 'Europe' } });
  const rows: [title: string, reply: Promise<Reply>, status: number, code: string, field: string][] = [
    ['a bad token', install(service, 'wrong'), 422, 'TOKEN_INVALID', 'config.access_token'],
    ['the wrong region', install(service, tokens[0]!), 422, 'WRONG_REGION', 'config.region'],
    ['no region', install(service, '', { config: { access_token: 'x' } }), 422, 'INVALID_CONFIG', 'config.region'],
    ['no token', install(service, '', { config: { region: 'eu' } }), 422, 'INVALID_CONFIG', 'config.access_token'],
    ['no config', install(service, '', { config: undefined }), 422, 'INVALID_CONFIG', 'config'],
    [
      'a delivery mode',
      install(service, 'x', { delivery_mode: 'client_side' }),
      422,
      'INVALID_CONFIG',
      'delivery_mode',
    ],
  ];
  for (const [title, reply, status, code, field] of rows) {
    const { status: actual, body } = await reply;
    t.equal(actual, status, title);
    t.match(body, { error: { code, message: String, details: [{ field, message: String }] } }, title);
  }
  t.match((await install(service, tokens[0]!)).body.error.message, /INTERCOM_REGION=eu|region eu/);
  t.match(await admin(service, 'GET', '/integrations'), { body: { data: [] } });
  t.match(await admin(service, 'POST', '/integration-catalog/slack/install', {}), { status: 404 });
  const unknown = await request(`${service.url}/v1/admin/integrations`, { headers: { authorization: 'Bearer x' } });
  t.equal(unknown.statusCode, 401);
  t.match(await unknown.body.json(), { error: { code: 'INVALID_TOKEN' } });
});

t.test("several installations go side by side: one's bad token or pause holds none of the others", async (t) => {
  const service = await startService(t, {
    env: { ADMIN_TOKEN: adminToken },
    simulator: { tokens: ['demo-token', ...tokens] },
  });
  const { simulator } = service;
  const first = (await install(service, tokens[0]!, { name: 'First' })).body;
  const second = (await install(service, tokens[1]!, { name: 'Second' })).body;
  t.equal((await install(service, tokens[1]!, { name: 'Second' })).status, 409, 'a name is given once');

  simulator.setTokens(['demo-token', tokens[1]!]);
  const held = await ingest(service, first.ingest_path, track('u', 'Held'));
  t.equal(held.status, 202);
  await until(
    'it is held',
    async () => (await admin(service, 'GET', `/integrations/${first.id}`)).body.status === 'held',
  );
  t.match(await admin(service, 'GET', `/integrations/${first.id}`), {
    body: { hold: { reason: 'token_invalid', remedy: String } },
  });
  t.match(await ingest(service, second.ingest_path, track('u', 'Second')), { status: 200 });
  t.match(await ingest(service, '/ingest', track('u')), { status: 200 }, 'the default one is that of the environment');
  t.match(JSON.parse((await service.get('/readyz')).text), { status: 'ready', dispatch: { reason: 'token_invalid' } });

  t.match(await admin(service, 'POST', `/integrations/${first.id}/check`), {
    body: { ok: false, reason: 'token_invalid' },
  });
  t.match(await admin(service, 'PATCH', `/integrations/${first.id}`, { config: { access_token: 'wrong' } }), {
    status: 422,
  });
  simulator.setTokens(['demo-token', 'a-new-access-tok2', tokens[1]!]);
  t.match(
    await admin(service, 'PATCH', `/integrations/${first.id}`, { config: { access_token: 'a-new-access-tok2' } }),
    {
      status: 200,
      body: { status: 'active', revision: { revision_number: 2 } },
    },
  );
  await until('the held event has arrived', () => simulator.timeline('u').length === 3);

  t.match(await admin(service, 'POST', `/integrations/${second.id}/pause`), {
    body: { status: 'paused', enabled: false },
  });
  const paused = await ingest(service, second.ingest_path, track('p'));
  t.match(paused, { status: 202, body: { events: [{ status: 'queued', reason: 'paused' }] } });
  t.match(await admin(service, 'DELETE', `/integrations/${second.id}`), {
    status: 409,
    body: { error: { code: 'EVENTS_QUEUED' } },
  });
  t.equal(simulator.contact('p'), undefined);
  t.match(await admin(service, 'POST', `/integrations/${second.id}/resume`), { body: { enabled: true } });
  await until('the paused event has arrived', () => simulator.timeline('p').length === 1);

  await until(
    'nothing waits for it, and it is removed',
    async () => (await admin(service, 'DELETE', `/integrations/${second.id}`)).status === 204,
  );
  t.equal((await ingest(service, second.ingest_path, track('p'))).status, 404);
  t.match(await admin(service, 'PATCH', '/integrations/default', { config: { region: 'eu' } }), {
    status: 409,
    body: { error: { code: 'MANAGED_BY_ENVIRONMENT' } },
  });
  const { body: log } = await admin(service, 'GET', '/audit-log?limit=100');
  t.strictSame(
    log.data.map(({ action }) => action),
    [
      'integration.removed',
      'integration.resumed',
      'integration.paused',
      'integration.changed',
      'integration.checked',
      'integration.installed',
      'integration.installed',
    ],
  );
  t.match(log.data[3]?.changes, { access_token: { old: '***oken' }, revision_number: { old: 1, new: 2 } });
});

t.test('what waits for an installation that is removed is filtered, and the ledger balances', async (t) => {
  const service = await startService(t, {
    env: { ADMIN_TOKEN: adminToken },
    simulator: { tokens: ['demo-token', ...tokens] },
  });
  const { body } = await install(service, tokens[0]!, { name: 'Second' });
  await admin(service, 'POST', `/integrations/${body.id}/pause`);
  await ingest(service, body.ingest_path, track('u'));
  await ingest(service, body.ingest_path, { ...track('v'), messageId: 'again' });
  t.equal((await admin(service, 'DELETE', `/integrations/${body.id}?discard=true`)).status, 204);
  const { text } = await service.get('/metrics');
  t.match(text, /signal_intercom_accepted_events_total 2/);
  t.match(text, /ledger_events\{state="filtered"\} 2/);
  t.match(text, /ledger_events\{state="queued"\} 0/);
});

t.test('access tokens are sealed at rest, and never told; a key is rotated, and a lost one is said', async (t) => {
  const databasePath = join(temporaryFolder(t), 'queue.db');
  const simulator = await startSimulator({ tokens });
  t.teardown(() => simulator.close());
  const old = Buffer.alloc(32, 1).toString('base64');
  const fresh = Buffer.alloc(32, 2).toString('hex');
  const open = (ENCRYPTION_KEY: string) =>
    startService(t, { env: { ...noDefault, ENCRYPTION_KEY }, simulator, databasePath });

  let service = await open(old);
  const { body } = await install(service, tokens[0]!);
  await ingest(service, '/ingest', track('u'));
  const answers = JSON.stringify([body, await admin(service, 'GET', '/audit-log')]);
  await service.stop();
  const kept = readFileSync(databasePath, 'latin1') + service.logs.join('') + answers;
  t.notMatch(kept, tokens[0]!);

  service = await open(`${fresh}, ${old}`);
  t.match(await ingest(service, '/ingest', track('v')), { status: 200 }, 'the old key still opens it');
  await service.stop();
  service = await open(fresh);
  t.match(await ingest(service, '/ingest', track('w')), { status: 200 }, 'it was sealed anew with the new key');
  await service.stop();

  service = await open(old);
  t.match(await ingest(service, '/ingest', track('x')), { status: 202 });
  const { body: lost } = await admin(service, 'GET', `/integrations/${body.id}`);
  t.match(lost, { status: 'held', hold: { reason: 'token_unreadable', remedy: /ENCRYPTION_KEY/ } });
  await admin(service, 'PATCH', `/integrations/${body.id}`, { config: { access_token: tokens[1] } });
  await until('what waited has arrived', () => simulator.timeline('x').length === 1);
});

t.test('the catalog describes the vendor with its fields', async (t) => {
  const service = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  t.match(await admin(service, 'GET', '/integration-catalog'), {
    body: { data: [{ key: 'intercom' }], has_more: false },
  });
  t.match((await admin(service, 'GET', '/integration-catalog/intercom')).body, {
    config_fields: [
      { key: 'access_token', type: 'secret' },
      { key: 'region', type: 'select' },
    ],
    variants: [{ key: 'default' }],
  });
});

t.test('a token of another region is recognised, and the region named', async (t) => {
  const [us, eu] = await Promise.all([startSimulator({ tokens: [] }), startSimulator({ tokens })]);
  t.teardown(() => Promise.all([us.close(), eu.close()]));
  const target = { baseUrl: us.url, accessToken: tokens[0]!, region: 'us' as const };
  const hosts = [
    { region: 'us', baseUrl: us.url },
    { region: 'eu', baseUrl: eu.url },
  ];
  t.match(await tryOut(target, '2.11', hosts), { ok: false, reason: 'wrong_region', remedy: 'choose the region eu' });
  t.match(await tryOut({ ...target, accessToken: 'x' }, '2.11', hosts), { ok: false, reason: 'token_invalid' });
});
