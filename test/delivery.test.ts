import t from 'tap';
import { startService, until, writes } from './service.ts';

const jane = {
  type: 'identify',
  userId: 'user-123',
  traits: { email: 'Jane@Example.com', name: 'Jane Doe', plan: 'pro' },
};
const plan = [{ model: 'contact' as const, name: 'plan', data_type: 'string' }];

t.test('the rows of the event table, by what Intercom received', async (t) => {
  t.test('an identify of a new user is one call and makes the contact', async (t) => {
    const { post, simulator } = await startService(t, { simulator: { attributes: plan } });
    const { status, body } = await post(jane);
    t.equal(status, 200);
    t.match(body.events[0], { status: 'delivered', intercom: { status: 200, calls: 1 } });
    t.strictSame(writes(simulator), ['POST /contacts']);
    t.match(simulator.contact('user-123'), {
      role: 'user',
      email: 'jane@example.com',
      name: 'Jane Doe',
      custom_attributes: { plan: 'pro' },
    });
  });

  t.test('an identify of a user that exists is two calls, and none of them is a search', async (t) => {
    const first = await startService(t, { simulator: { attributes: plan } });
    await first.post(jane);
    await first.stop();
    const { post, simulator } = await startService(t, { simulator: first.simulator });
    const { body } = await post({ ...jane, traits: { ...jane.traits, plan: 'team' } });
    t.match(body.events[0], { status: 'delivered', intercom: { status: 200, calls: 2 } });
    t.strictSame(writes(simulator), ['POST /contacts', 'POST /contacts', 'PUT /contacts/{id}']);
    t.match(simulator.contact('user-123')?.custom_attributes, { plan: 'team' });
  });

  t.test('an identify that changes something sends only that; one that changes nothing sends nothing', async (t) => {
    const { post, simulator } = await startService(t, { simulator: { attributes: plan } });
    await post(jane);
    const changed = await post({ ...jane, traits: { ...jane.traits, plan: 'team' } });
    const unchanged = await post({ ...jane, messageId: 'again', traits: { ...jane.traits, plan: 'team' } });
    t.match(changed.body.events[0], { status: 'delivered', intercom: { calls: 1 } });
    t.match(unchanged.body.events[0], { status: 'delivered', reason: 'unchanged', intercom: { calls: 0 } });
    t.strictSame(simulator.calls.find(({ method }) => method === 'PUT')?.requestBody, {
      custom_attributes: { plan: 'team' },
    });
  });

  t.test('identifies in a row of one person become one call, of which the later value wins', async (t) => {
    const { post, simulator } = await startService(t, { simulator: { attributes: plan } });
    const { body } = await post([
      jane,
      { ...jane, traits: { name: 'Jane D.', plan: 'team' } },
      { ...jane, traits: { plan: 'enterprise' } },
    ]);
    t.equal(
      body.events.reduce((sum, event) => sum + (event.intercom?.calls ?? 0), 0),
      1,
    );
    t.strictSame(writes(simulator), ['POST /contacts']);
    t.match(simulator.contact('user-123'), {
      name: 'Jane D.',
      email: 'jane@example.com',
      custom_attributes: { plan: 'enterprise' },
    });
  });

  t.test('a page becomes page_viewed with url, title, path and referrer, in one call', async (t) => {
    const { post, simulator } = await startService(t);
    await post(jane);
    const { body } = await post({
      type: 'page',
      userId: 'user-123',
      name: 'Home',
      timestamp: '2026-02-25T14:30:00.700Z',
      properties: { url: 'https://x.test/', title: 'T' },
      context: { page: { path: '/', referrer: 'https://y.test/', url: 'https://ignored.test/' } },
    });
    t.match(body.events[0], { status: 'delivered', intercom: { status: 202, calls: 1 } });
    const [event] = simulator.timeline('user-123');
    t.match(event, { eventName: 'page_viewed', createdAt: 1772029800 });
    t.match(event?.metadata, { url: 'https://x.test/', title: 'T', path: '/', referrer: 'https://y.test/' });
  });

  t.test('a screen is handled as a page', async (t) => {
    const { post, simulator } = await startService(t);
    await post(jane);
    await post({ type: 'screen', userId: 'user-123', name: 'Checkout' });
    t.match(simulator.timeline('user-123'), [{ eventName: 'page_viewed' }]);
  });

  t.test('Order Completed carries its revenue in minor units', async (t) => {
    const { post, simulator } = await startService(t);
    await post(jane);
    await post({
      type: 'track',
      event: 'Order Completed',
      userId: 'user-123',
      properties: { order_id: 'o-1', total: 19.99, currency: 'USD' },
    });
    t.match(simulator.timeline('user-123')[0], {
      eventName: 'Order Completed',
      metadata: { value: { amount: 1999, currency: 'usd' }, order_id: 'o-1' },
    });
  });

  t.test('an event of a user that Intercom does not know makes the user, and arrives', async (t) => {
    const { post, simulator } = await startService(t);
    const { body } = await post({
      type: 'track',
      event: 'Product Viewed',
      userId: 'new-user',
      properties: { price: 1 },
    });
    t.match(body.events[0], { status: 'delivered', intercom: { status: 202, calls: 3 } });
    t.strictSame(writes(simulator), ['POST /events', 'POST /contacts', 'POST /events']);
    t.match(simulator.timeline('new-user'), [{ eventName: 'Product Viewed' }]);
  });

  t.test('an event of an email makes one lead, whose id the next event uses', async (t) => {
    const { post, simulator } = await startService(t);
    const email = { traits: { email: 'lead@example.com' } };
    await post({ type: 'track', event: 'A', ...email });
    await post({ type: 'track', event: 'B', ...email });
    t.strictSame(writes(simulator), ['POST /contacts/search', 'POST /contacts', 'POST /events', 'POST /events']);
    const [lead, ...others] = simulator.contacts();
    t.strictSame(others, []);
    t.match(lead, { role: 'lead', email: 'lead@example.com' });
    t.strictSame(
      simulator.timeline(lead!.id).map(({ eventName }) => eventName),
      ['A', 'B'],
    );
  });

  t.test('an identify with a userId makes a known lead that user, in one call, with its timeline', async (t) => {
    const { post, simulator } = await startService(t);
    await post({ type: 'track', event: 'Signed Up', traits: { email: 'lead@example.com' } });
    const { body } = await post({ type: 'identify', userId: 'u-1', traits: { email: 'lead@example.com', name: 'L' } });
    t.match(body.events[0], { status: 'delivered', intercom: { calls: 1 } });
    t.match(simulator.contacts(), [{ role: 'user', external_id: 'u-1', name: 'L' }]);
    t.strictSame(
      simulator.timeline('u-1').map(({ eventName }) => eventName),
      ['Signed Up'],
    );
  });

  t.test('a lead whose user exists already is merged into it', async (t) => {
    const { post, simulator } = await startService(t);
    await post({ type: 'identify', userId: 'u-1', traits: { name: 'U' } });
    await post({ type: 'track', event: 'Downloaded', traits: { email: 'u1@example.com' } });
    await post({ type: 'identify', userId: 'u-1', traits: { name: 'U', email: 'u1@example.com' } });
    t.match(simulator.contacts(), [{ role: 'user', external_id: 'u-1', email: 'u1@example.com' }]);
    t.equal(simulator.count('POST /contacts/merge'), 1);
    t.strictSame(
      simulator.timeline('u-1').map(({ eventName }) => eventName),
      ['Downloaded'],
    );
  });

  t.test('two users with one email stay two', async (t) => {
    const { post, simulator } = await startService(t);
    await post({ type: 'identify', userId: 'u-1', traits: { email: 'shared@example.com' } });
    await post({ type: 'identify', userId: 'u-2', traits: { email: 'shared@example.com' } });
    t.strictSame(
      simulator
        .contacts()
        .map((contact) => contact.external_id)
        .toSorted(),
      ['u-1', 'u-2'],
    );
  });

  t.test('a group makes the company and attaches its member: 2 calls, then none; 1 for the next member', async (t) => {
    const { post, simulator } = await startService(t);
    await post(jane);
    await post({ ...jane, userId: 'user-124', traits: { email: 'joe@example.com' } });
    const acme = {
      type: 'group',
      userId: 'user-123',
      groupId: 'acme',
      traits: { name: 'Acme', employees: '12', industry: 'Tools' },
    };
    const calls = [];
    for (const event of [
      acme,
      { ...acme, messageId: 'same' },
      { ...acme, userId: 'user-124' },
      { ...acme, traits: { name: 'Acme Inc' } },
    ]) {
      const { body } = await post(event);
      t.equal(body.events[0]?.status, 'delivered');
      calls.push(body.events[0]?.intercom?.calls);
    }
    t.strictSame(calls, [2, 0, 1, 1]);
    const [company] = simulator.companies();
    t.match(company, { company_id: 'acme', name: 'Acme Inc', size: 12, industry: 'Tools' });
    t.equal(company?.contactIds.length, 2);
  });
});

t.test('distinct events of one name in one second get a second each, since Intercom would keep but one', async (t) => {
  const { post, simulator } = await startService(t);
  await post(jane);
  const click = { type: 'track', event: 'Clicked', userId: 'user-123', timestamp: '2026-02-25T14:30:00.000Z' };
  await post(['a', 'b', 'c'].map((messageId) => ({ ...click, messageId })));
  await post({ ...click, messageId: 'd' });
  t.strictSame(
    simulator.timeline('user-123').map(({ createdAt }) => createdAt - 1772029800),
    [0, 1, 2, 3],
  );
  t.equal(simulator.summary().duplicatesIgnored, 0);
});

t.test("one person's events arrive in the order of acceptance, retries included", async (t) => {
  const { post, simulator } = await startService(t, { env: { INGEST_WAIT_MS: '0' } });
  simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /events', times: 2 });
  const names = Array.from({ length: 20 }, (_, n) => `Step ${n}`);
  for (const event of names) await post({ type: 'track', event, userId: 'u' });
  await until('all twenty arrived', () => simulator.timeline('u').length === names.length);
  t.strictSame(
    simulator.timeline('u').map(({ eventName }) => eventName),
    names,
  );
});

t.test('an unknown attribute costs that attribute and not the identify', async (t) => {
  const { post, simulator, logs } = await startService(t, { simulator: { attributes: plan } });
  const { body } = await post({ ...jane, traits: { ...jane.traits, favourite_colour: 'blue' } });
  t.equal(body.events[0]?.status, 'delivered');
  t.strictSame(simulator.contact('user-123')?.custom_attributes, { plan: 'pro' });
  t.ok(
    logs.some((line) => line.includes('unknown_attribute')),
    "the attempt's line says that something was left out",
  );
});

t.test('an archived contact is brought back and updated', async (t) => {
  const { post, simulator } = await startService(t);
  await post(jane);
  const id = simulator.contact('user-123')!.id;
  await fetch(`${simulator.url}/contacts/${id}/archive`, {
    method: 'POST',
    headers: { authorization: 'Bearer demo-token', accept: 'application/json', 'intercom-version': '2.11' },
  });
  const { body } = await post({ ...jane, traits: { name: 'Jane Back' } });
  t.equal(body.events[0]?.status, 'delivered');
  t.match(simulator.contact('user-123'), { name: 'Jane Back' });
});

t.test(
  "what Intercom refuses for good is answered 422 and kept as a dead letter; the person's next event goes on",
  async (t) => {
    const { post, get, simulator } = await startService(t);
    await post(jane);
    simulator.inject({
      kind: 'status',
      status: 422,
      endpoint: 'POST /events',
      body: { type: 'error.list', errors: [{ code: 'data_invalid', message: 'no' }] },
    });
    const refused = await post({ type: 'track', event: 'Bad', userId: 'user-123', messageId: 'bad' });
    t.equal(refused.status, 422);
    t.match(refused.headers['content-type'], /application\/problem\+json/);
    t.match(refused.body.events[0], { status: 'dead', reason: 'invalid_request', intercom: { status: 422, calls: 1 } });
    const again = await post({ type: 'track', event: 'Bad', userId: 'user-123', messageId: 'bad' });
    t.match(again.body.events[0], { status: 'duplicate', original: { status: 'dead', reason: 'invalid_request' } });
    const next = await post({ type: 'track', event: 'Good', userId: 'user-123' });
    t.equal(next.body.events[0]?.status, 'delivered');
    t.match((await get('/metrics')).text, /signal_intercom_ledger_events\{state="dead"\} 1/);
  },
);

t.test('a resend after an unknown end is the same to the byte, so that Intercom takes it for one', async (t) => {
  const { post, simulator } = await startService(t, { env: { INGEST_WAIT_MS: '0' } });
  await post(jane);
  await until('the user exists', () => simulator.contact('user-123'));
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /events', times: 1 });
  await post({ type: 'track', event: 'Once', userId: 'user-123' });
  await until('it was sent twice', () => simulator.count('POST /events') === 2);
  const [first, second] = simulator.calls.filter(({ endpoint }) => endpoint === 'POST /events');
  t.strictSame(second?.requestBody, first?.requestBody);
  t.equal(simulator.timeline('user-123').length, 1);
});

t.test('a lead is created once, also when the answer to its creation is lost', async (t) => {
  const { post, simulator } = await startService(t, { env: { INGEST_WAIT_MS: '0' }, simulator: { indexLagMs: 0 } });
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts', times: 1 });
  await post({ type: 'track', event: 'Asked', traits: { email: 'lead@example.com' } });
  await until('the creation was tried', () => simulator.count('POST /contacts') === 1);
  t.equal(simulator.contacts().length, 1);
  const second = await post({ type: 'track', event: 'Asked again', traits: { email: 'lead@example.com' } });
  t.equal(second.body.events[0]?.status, 'queued', 'the person waits until the search index had time');
  t.equal(simulator.count('POST /contacts'), 1);
});

t.test('the calls per event of the reference workload are 0.80', async (t) => {
  const { post, simulator } = await startService(t, {
    env: { INGEST_WAIT_MS: '0' },
    simulator: { limitPerMinute: 1_000_000 },
  });
  const users = Array.from({ length: 10 }, (_, n) => `user-${n}`);
  const rounds: ((userId: string) => object)[] = [
    (userId) => ({ type: 'identify', userId, traits: { email: `${userId}@example.com`, name: userId } }),
    ...Array.from({ length: 4 }, (_, n) => (userId: string) => ({ type: 'page', userId, messageId: `p${n}${userId}` })),
    (userId) => ({ type: 'identify', userId, traits: { email: `${userId}@example.com`, name: `${userId} 2` } }),
    (userId) => ({ type: 'track', event: 'A', userId }),
    (userId) => ({
      type: 'identify',
      userId,
      messageId: `i3${userId}`,
      traits: { email: `${userId}@example.com`, name: `${userId} 2` },
    }),
    (userId) => ({ type: 'track', event: 'B', userId }),
    (userId) => ({
      type: 'identify',
      userId,
      messageId: `i4${userId}`,
      traits: { email: `${userId}@example.com`, name: `${userId} 2` },
    }),
  ];
  for (const round of rounds) await post(users.map(round));
  await until('every event arrived', () => simulator.summary().eventsStored === 60);
  await until('every contact is as it should be', () =>
    simulator.contacts().every((contact) => contact.name === `${contact.external_id} 2`),
  );
  t.ok(writes(simulator).length <= 80, `${writes(simulator).length} calls for 100 events`);
});
