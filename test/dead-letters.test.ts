import t from 'tap';
import { request } from 'undici';
import { explainedReasons } from '../src/console/reasons.ts';
import { type Service, startService, until } from './service.ts';

const adminToken = 'an-admin-token-of-some-length';
const env = { ADMIN_TOKEN: adminToken };
const refusal = (message: string) => ({ type: 'error.list', errors: [{ code: 'data_invalid', message }] });

async function admin(service: Service, method: 'GET' | 'POST', path: string, body?: object) {
  const response = await request(service.url + path, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, ...(body && { 'content-type': 'application/json' }) },
    body: body ? JSON.stringify(body) : null,
  });
  return { status: response.statusCode, body: JSON.parse(await response.body.text()) };
}

async function killAll(service: Service, names: string[]): Promise<string[]> {
  await service.post({ type: 'identify', userId: 'u' });
  service.simulator.inject({
    kind: 'status',
    status: 422,
    endpoint: 'POST /events',
    body: refusal('no'),
    times: names.length,
  });
  const answers = [];
  for (const event of names)
    answers.push(
      await service.post({ type: 'track', event, userId: 'u', messageId: event, properties: { sku: event } }),
    );
  return answers.map(({ body }) => body.events[0]!.id!);
}

t.test('a dead letter keeps request, answer, reason and remedy', async (t) => {
  const service = await startService(t, { env });
  const [id] = await killAll(service, ['Bad']);
  const { status, body } = await admin(service, 'GET', `/events/${id}`);
  t.equal(status, 200);
  t.match(body, {
    status: 'dead',
    reason: 'invalid_request',
    explanation: { cause: String, remedy: /redrive/ },
    event: { event: 'Bad', userId: 'u' },
    consent: { form: 'absent', granted: true },
    history: [
      {
        n: 1,
        outcome: 'dead',
        exchange: {
          calls: [
            {
              method: 'POST',
              path: '/events',
              body: { event_name: 'Bad' },
              status: 422,
              answer: { errors: [{ message: 'no' }] },
            },
          ],
        },
      },
    ],
  });
  t.notMatch(JSON.stringify(body), 'demo-token');
});

t.test('it is found by status, reason, name, user and text, newest first, page by page', async (t) => {
  const service = await startService(t, { env });
  const ids = await killAll(service, ['A', 'B', 'C']);
  await service.post({ type: 'track', event: 'Fine', userId: 'v' });
  const find = async (query: string) => (await admin(service, 'GET', `/events?${query}`)).body;
  const names = async (query: string) => (await find(query)).data.map((event: { name: string }) => event.name);
  t.strictSame(await names('status=dead'), ['C', 'B', 'A']);
  t.strictSame(await names('reason=invalid_request&name=B'), ['B']);
  t.strictSame(await names('userId=v'), ['Fine']);
  t.strictSame(await names('text=%22sku%22%3A%22A%22'), ['A']);
  t.strictSame(await names('status=delivered&type=identify'), [null]);
  t.strictSame(await names(`from=${new Date(Date.now() + 60_000).toISOString()}`), []);
  const first = await find('status=dead&limit=2');
  t.equal(first.data.length, 2);
  const second = await find(`status=dead&limit=2&cursor=${first.nextCursor}`);
  t.match(second, { data: [{ id: ids[0] }], nextCursor: null });
  t.match(await admin(service, 'GET', '/events?status=lost'), {
    status: 400,
    body: { detail: /queued, delivered, filtered or dead/ },
  });
  t.match(await admin(service, 'GET', '/events/evt_000000zzz'), { status: 404 });
});

t.test('redriven, it is delivered with its own time and identity, one or all of a filter', async (t) => {
  const service = await startService(t, { env });
  const [first] = await killAll(service, ['A', 'B', 'C']);
  t.match(await admin(service, 'POST', `/events/${first}/redrive`), { status: 200, body: { redriven: 1 } });
  await until('it was delivered', () => service.simulator.timeline('u').length === 1);
  t.match(await admin(service, 'POST', '/events/redrive', { reason: 'invalid_request', dryRun: true }), {
    body: { redriven: 2 },
  });
  t.match(await admin(service, 'POST', '/events/redrive', { name: 'B' }), { body: { redriven: 1 } });
  t.match(await admin(service, 'POST', '/events/redrive', {}), { body: { redriven: 1 } });
  await until('all were delivered', () => service.simulator.timeline('u').length === 3);
  await until('it is told', async () => (await admin(service, 'GET', `/events/${first}`)).body.status === 'delivered');
  t.match(
    (await admin(service, 'GET', `/events/${first}`)).body.history.map(({ outcome }: { outcome: string }) => outcome),
    ['dead', 'delivered'],
    'with the attempt of before',
  );
  t.match((await admin(service, 'GET', '/v1/admin/audit-log')).body.data, [
    { action: 'events.redriven', changes: { count: { new: 1 } } },
    { action: 'events.redriven', changes: { name: { new: 'B' }, count: { new: 1 } } },
    { action: 'events.redriven', changes: { event: { new: first } } },
  ]);
  t.match(await admin(service, 'POST', `/events/${first}/redrive`), {
    status: 409,
    body: { detail: /only dead letters/ },
  });
  t.match((await service.post({ type: 'track', event: 'A', userId: 'u', messageId: 'A' })).body.events[0], {
    original: { status: 'delivered' },
  });
});

t.test(
  'what Intercom does not take within RETRY_MAX_AGE_HOURS is dead as expired, and the person goes on',
  async (t) => {
    const service = await startService(t, { env: { ...env, RETRY_MAX_AGE_HOURS: '0.0001', INGEST_WAIT_MS: '0' } });
    service.simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /events', times: Infinity });
    await service.post({ type: 'track', event: 'Late', userId: 'u' });
    await until('it is dead', async () => (await admin(service, 'GET', '/events?status=dead')).body.data.length === 1);
    t.match((await admin(service, 'GET', '/events?status=dead')).body.data, [{ name: 'Late', reason: 'expired' }]);
  },
);

t.test('without the admin token nothing is shown or moved', async (t) => {
  const { url, logs } = await startService(t);
  const made = JSON.parse(logs.find((line) => line.includes('admin.token_made'))!).adminToken;
  for (const authorization of ['', 'Bearer wrong', `Basic ${made}`]) {
    const { statusCode } = await request(`${url}/events`, { headers: { authorization } });
    t.equal(statusCode, 401);
  }
  const { statusCode } = await request(`${url}/events`, { headers: { authorization: `Bearer ${made}` } });
  t.equal(statusCode, 200, 'the one that was made and printed');
});

t.test('every reason that an event can end with is explained', async (t) => {
  const ends = [
    'consent_functional',
    'consent_marketing',
    'consent_revoked',
    'mapping_dropped',
    'no_identifier',
    'never_identified',
    'installation_removed',
    'invalid_request',
    'not_restorable',
    'event_name_quota',
    'ambiguous_email',
    'attribute_quota',
    'company_limit',
    'expired',
    'bug',
  ];
  for (const reason of ends) t.ok(explainedReasons.has(reason), reason);
});
