import t from 'tap';
import { request } from 'undici';
import { type Fault, startSimulator } from '../src/simulator/simulator.ts';
import { type Service, startService, token, until, writes } from './service.ts';

const identify = (userId: string, traits: object = {}) => ({ type: 'identify', userId, traits });
const track = (userId: string, event: string, more: object = {}) => ({ type: 'track', event, userId, ...more });

async function intercom({ simulator }: Service, method: 'POST' | 'DELETE', path: string, sent?: object): Promise<void> {
  const headers = { authorization: 'Bearer demo-token', accept: 'application/json', 'intercom-version': '2.11' };
  const body = sent && { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(sent) };
  await (await request(simulator.url + path, { method, headers, ...body })).body.dump();
}

t.test(
  'a contact that was deleted and can not be restored: dead, explained, and the next person is not held back',
  async (t) => {
    const service = await startService(t);
    await service.post(identify('u', { name: 'A' }));
    await intercom(service, 'DELETE', `/contacts/${service.simulator.contact('u')!.id}`);
    const { status, body } = await service.post(identify('u', { name: 'B' }));
    t.equal(status, 422);
    t.match(body.events[0], { status: 'dead', reason: 'not_restorable' });
    t.equal((await service.post(identify('v'))).body.events[0]?.status, 'delivered');
  },
);

t.test('an id that has rotten is forgotten, and the contact resolved again', async (t) => {
  const service = await startService(t);
  await service.post({ type: 'track', event: 'A', traits: { email: 'lead@example.com' } });
  const [lead] = service.simulator.contacts();
  await intercom(service, 'POST', `/contacts/${lead!.id}/archive`);
  service.simulator.configure({ indexLagMs: 0 });
  const { body } = await service.post({ type: 'track', event: 'B', traits: { email: 'lead@example.com' } });
  t.equal(body.events[0]?.status, 'delivered');
  const [fresh] = service.simulator.contacts();
  t.not(fresh?.id, lead?.id);
  t.strictSame(
    service.simulator.timeline(fresh!.id).map(({ eventName }) => eventName),
    ['B'],
  );
});

t.test('two first members of a company at once: one create may fail, and both end attached', async (t) => {
  const service = await startService(t, { env: { INGEST_WAIT_MS: '0' } });
  service.simulator.inject({ kind: 'company_race', times: 1 });
  const groups = ['u', 'v', 'w'].map((userId) => ({
    type: 'group',
    userId,
    groupId: 'acme',
    traits: { name: 'Acme' },
  }));
  await service.post(groups);
  await until('all are attached', () => service.simulator.companies()[0]?.contactIds.length === 3);
  t.equal(service.simulator.companies().length, 1);
});

t.test('the 121st event name is dead as event_name_quota; names that exist go on', async (t) => {
  const service = await startService(t);
  const names = Array.from({ length: 120 }, (_, n) => track('u', `Name ${n}`));
  await service.post(names, { prefer: 'wait=60' });
  await until('the names are used up', () => service.simulator.summary().eventNames === 120);
  t.ok(
    service.logs.some((line) => line.includes('event_names_near_limit')),
    'it was told before',
  );
  t.match((await service.post(track('u', 'One more'))).body.events[0], { status: 'dead', reason: 'event_name_quota' });
  t.match((await service.post(track('u', 'Name 7', { messageId: 'again' }))).body.events[0], { status: 'delivered' });
});

t.test('CREATE_ATTRIBUTES makes what the workspace lacks, with its type', async (t) => {
  const service = await startService(t, { env: { CREATE_ATTRIBUTES: 'true' } });
  const { body } = await service.post(identify('u', { plan: 'pro', seats: 3, trial: true }));
  t.equal(body.events[0]?.status, 'delivered');
  t.match(service.simulator.contact('u')?.custom_attributes, { plan: 'pro', seats: 3, trial: true });
  t.equal(service.simulator.count('POST /data_attributes'), 3);
  await service.post(identify('v', { plan: 'team' }));
  t.equal(service.simulator.count('POST /data_attributes'), 3, 'once');
});

t.test('a trait is not left out because its attribute could not be made, or read, at that moment', async (t) => {
  const failures: Fault[] = [
    { kind: 'status', status: 503, endpoint: 'POST /data_attributes' },
    { kind: 'reset_after', endpoint: 'POST /data_attributes' },
    { kind: 'rate_limited', endpoint: 'POST /data_attributes' },
    { kind: 'status', status: 500, endpoint: 'GET /data_attributes', times: 3 },
  ];
  for (const fault of failures) {
    const simulator = await startSimulator({ tokens: [token] });
    t.teardown(() => simulator.close());
    simulator.inject(fault);
    const service = await startService(t, { env: { CREATE_ATTRIBUTES: 'true' }, simulator });
    await service.post(identify('u', { plan: 'pro' }));
    const arrived = await until('it is delivered', () => simulator.contact('u'));
    t.match(arrived.custom_attributes, { plan: 'pro' }, JSON.stringify(fault));
    t.ok(
      simulator.calls.some((call) => call.fault === fault.kind),
      'control: it failed',
    );
    await service.stop();
  }
});

t.test('a trait whose attribute somebody else has made a moment ago is not left out', async (t) => {
  const service = await startService(t, { env: { CREATE_ATTRIBUTES: 'true' } });
  await service.post(identify('first', { name: 'F' })); // the list is read
  const attribute = { model: 'contact', name: 'plan', data_type: 'string' };
  await intercom(service, 'POST', '/data_attributes', attribute);
  const { body } = await service.post(identify('u', { plan: 'pro' }));
  t.match(body.events[0], { status: 'delivered' });
  t.equal(service.simulator.count('POST /data_attributes'), 2, 'control: the second one was refused');
  t.match(service.simulator.contact('u')?.custom_attributes, { plan: 'pro' });
});

t.test(
  'one person with 2,000 events and one that always fails hold back nobody: the others wait a few calls',
  async (t) => {
    const service = await startService(t, {
      env: { INGEST_WAIT_MS: '0', INTERCOM_CONCURRENCY: '8' },
      simulator: { limitPerMinute: 6_000_000 },
    });
    service.simulator.inject({
      kind: 'status',
      status: 500,
      endpoint: 'POST /contacts',
      times: Infinity,
      when: ({ requestBody }) => JSON.stringify(requestBody).includes('"fails"'),
    });
    for (let n = 0; n < 2; n += 1) {
      await service.post(
        Array.from({ length: 1000 }, (_, i) => track('heavy', 'Clicked', { messageId: `heavy-${n}-${i}` })),
      );
    }
    await service.post(identify('fails', { name: 'F' }));
    await until('the heavy one is at work', () => service.simulator.timeline('heavy').length > 20);
    const before = service.simulator.calls.length;
    await service.post(Array.from({ length: 20 }, (_, n) => identify(`other-${n}`, { name: 'O' })));
    await until(
      'the others arrived',
      () => service.simulator.contacts().filter(({ external_id: id }) => String(id).startsWith('other')).length === 20,
    );
    const last = service.simulator.calls.findLastIndex(({ requestBody }) =>
      JSON.stringify(requestBody ?? '').includes('other-'),
    );
    t.ok(last - before < 400, `the last of the others came ${last - before} calls after it was accepted`);
    t.ok(service.simulator.timeline('heavy').length < 2000, 'while the heavy one was still at work');
    await until('the heavy one arrived whole', () => service.simulator.timeline('heavy').length === 2000, 120_000);
  },
);

t.test('repeated failures close the gate: one probe at a time, no attempt, and delivery resumes', async (t) => {
  const service = await startService(t, { env: { INGEST_WAIT_MS: '0' } });
  await until('it is ready', async () => (await service.get('/readyz')).status === 200);
  service.simulator.inject({ kind: 'status', status: 503, times: Infinity });
  await service.post(Array.from({ length: 10 }, (_, n) => identify(`u-${n}`, { name: 'N' })));
  await until('the gate is closed', () => service.logs.some((line) => line.includes('delivery.held')));
  t.match(await service.get('/readyz'), { status: 503, text: /server_error|unreachable/ });
  await until('it was probed', () =>
    service.simulator.calls.some(({ endpoint, fault }) => endpoint === 'GET /me' && fault !== undefined),
  );
  t.ok(writes(service.simulator).length <= 10, 'what was in flight ended, and nothing else was sent');
  service.simulator.clearFaults();
  await until('all arrived', () => service.simulator.contacts().length === 10);
});

t.test('another app empties the same workspace: its 429s cost a pause, and no event', async (t) => {
  const { post, simulator } = await startService(t, {
    env: { INGEST_WAIT_MS: '0' },
    simulator: { limitPerMinute: 600, workspaceLimitPerMinute: 600, tokens: ['demo-token', 'another-app'] },
  });
  const headers = { authorization: 'Bearer another-app', accept: 'application/json', 'intercom-version': '2.11' };
  const other = async (): Promise<void> => {
    await (await request(`${simulator.url}/me`, { headers })).body.dump();
  };
  await post(identify('u', { name: 'A' }));
  await until('the user exists', () => simulator.contact('u'));
  for (let n = 0; n < 70; n += 1) await other();
  await post(
    Array.from({ length: 60 }, (_, n) => track('u', `A ${n % 3}`, { timestamp: 1_772_029_800_000 + n * 1000 })),
  );
  await until('all have arrived', () => simulator.timeline('u').length === 60);
  const seconds = simulator.timeline('u').map(({ createdAt }) => createdAt);
  t.strictSame(seconds, seconds.toSorted(), 'in order');
  t.ok(simulator.calls.filter(({ status }) => status === 429).length <= 3, 'it waits after the first 429');
});
