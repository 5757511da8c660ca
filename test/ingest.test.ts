import { createHmac } from 'node:crypto';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { Agent, request } from 'undici';
import { createAuthenticator } from '../src/ingest/auth.ts';
import { readPreference } from '../src/ingest/prefer.ts';
import { startService, until, writes } from './service.ts';

const track = { type: 'track', event: 'Clicked', userId: 'u-1' };

t.test('the answer to a request', async (t) => {
  const { post, simulator, url } = await startService(t);
  await post({ type: 'identify', userId: 'u-1' });

  t.test('200: a settled event, with what Intercom answered', async (t) => {
    const { status, body } = await post({ ...track, messageId: 'm-200' });
    t.equal(status, 200);
    t.match(body, {
      accepted: 1,
      rejected: 0,
      events: [{ index: 0, id: /^evt_/, messageId: 'm-200', status: 'delivered', intercom: { status: 202, calls: 1 } }],
    });
  });

  t.test('200: a repeated messageId is a duplicate, told with the state of the first, and sent once', async (t) => {
    const before = simulator.count('POST /events');
    const { status, body } = await post({ ...track, messageId: 'm-200' });
    t.equal(status, 200);
    t.match(body.events[0], { status: 'duplicate', original: { status: 'delivered' } });
    t.equal(simulator.count('POST /events'), before);
  });

  t.test('202: kept, and answered at once to who prefers not to wait', async (t) => {
    const { status, body, headers } = await post({ ...track, messageId: 'm-202' }, { prefer: 'respond-async' });
    t.equal(status, 202);
    t.equal(headers['preference-applied'], 'respond-async');
    t.match(body.events[0], { status: 'queued' });
    await until(
      'it arrived',
      async () => (await post({ ...track, messageId: 'm-202' })).body.events[0]?.original?.status === 'delivered',
    );
  });

  t.test('207: a batch with kept and refused events', async (t) => {
    const { status, body } = await post([track, { type: 'track', userId: 'u-1' }]);
    t.equal(status, 207);
    t.match(body, {
      accepted: 1,
      rejected: 1,
      events: [{ status: 'delivered' }, { index: 1, status: 'rejected', error: { path: 'event' } }],
    });
  });

  t.test('400: nothing kept, with every error, its place and its remedy, as problem+json', async (t) => {
    const { status, headers, body } = await post([{ type: 'track', userId: 'u-1' }, { type: 'wrong' }, 17]);
    t.equal(status, 400);
    t.match(headers['content-type'], /^application\/problem\+json/);
    t.match(body.errors, [
      { index: 0, path: 'event', message: /event is required for track/ },
      { index: 1, path: 'type', message: /identify, page, screen, track, group/ },
      { index: 2, message: /JSON object/ },
    ]);
  });

  t.test('400: missing external_id or email', async (t) => {
    const { status, body } = await post({ type: 'track', event: 'Clicked', anonymousId: 'a-1' });
    t.equal(status, 400);
    t.match(body.events[0], {
      status: 'rejected',
      error: { code: 'missing_identifier', message: /^missing external_id or email/ },
    });
  });

  t.test('400: a hashed email identifies nobody, and the error says why', async (t) => {
    const { status, body } = await post({ type: 'identify', traits: { email: 'a'.repeat(64) } });
    t.equal(status, 400);
    t.match(body.detail, /missing external_id or email: the email is a SHA-256 hash/);
  });

  const invalid: [name: string, body: unknown, path: RegExp | string][] = [
    ['an empty array', [], 'empty'],
    ['an empty batch', { batch: [] }, 'empty'],
    ['a batch that is no array', { batch: {} }, 'must be an array'],
    ['no JSON', '{"type":', 'not valid JSON'],
    ['an empty body', '', 'empty'],
    ['an unreadable timestamp', { ...track, timestamp: 'yesterday' }, 'timestamp'],
    ['a day that no calendar has', { ...track, timestamp: '2026-02-30T00:00:00Z' }, 'timestamp'],
    ['properties that are no object', { ...track, properties: ['a'] }, 'properties'],
    ['traits that are no object', { type: 'identify', userId: 'u', traits: 'x' }, 'traits'],
    ['an id that is neither text nor number', { ...track, userId: { id: 1 } }, 'userId'],
    ['a group without groupId', { type: 'group', userId: 'u' }, 'groupId'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'UTF-8'],
    ['nesting deeper than 32', { ...track, properties: nested(40) }, 'nested deeper'],
  ];
  for (const [name, body, detail] of invalid) {
    t.test(`400: ${name}`, async (t) => {
      const answer = await post(body);
      t.equal(answer.status, 400);
      t.match(answer.body.detail, detail);
    });
  }

  t.test('413: a body over 5 MB, an event over 64 KB, more than 1,000 events', async (t) => {
    const large = { ...track, properties: { text: 'x'.repeat(65 * 1024) } };
    t.equal((await post({ ...track, properties: { text: 'x'.repeat(5.5 * 1024 * 1024) } })).status, 413);
    t.equal((await post(large)).status, 413);
    t.equal((await post(Array.from({ length: 1001 }, () => track))).status, 413);
    t.equal(
      (await post(gzipSync('[' + ' '.repeat(6_000_000) + ']'), { 'content-encoding': 'gzip' })).status,
      413,
      'also after decompression',
    );
    const mixed = await post([track, large]);
    t.equal(mixed.status, 207);
    t.match(mixed.body.events[1], { error: { code: 'event_too_large' } });
  });

  t.test('415: what is not JSON, and an encoding that is not known', async (t) => {
    const form = await post('a=b', { 'content-type': 'application/x-www-form-urlencoded' });
    t.equal(form.status, 415);
    t.match(form.body.detail, /content-type: application\/json/);
    t.equal((await post(track, { 'content-encoding': 'zstd' })).status, 415);
  });

  t.test('PUT is taken like POST', async (t) => {
    const { statusCode } = await request(`${url}/ingest`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(track),
    });
    t.equal(statusCode, 200);
  });

  t.test('405: another method, with the ones that are allowed', async (t) => {
    const { statusCode, headers } = await request(`${url}/ingest`);
    t.equal(statusCode, 405);
    t.equal(headers.allow, 'POST, PUT');
  });

  t.test('an unknown route is a problem that names the way on', async (t) => {
    const { statusCode, body } = await request(`${url}/nowhere`);
    t.equal(statusCode, 404);
    t.match(await body.json(), { code: 'not_found', detail: /openapi\.yaml/ });
  });
});

t.test('every form of the envelope reaches Intercom', async (t) => {
  const { post, simulator } = await startService(t, { env: { ANONYMOUS_EVENTS: 'filter' } });
  const forms: [name: string, body: unknown, headers?: Record<string, string>][] = [
    ['one event', { ...track, event: 'Single' }],
    ['an array', [{ ...track, event: 'Array' }]],
    ['batch', { batch: [{ ...track, event: 'Batch' }], sentAt: '2026-01-01T00:00:00Z' }],
    ['events', { events: [{ ...track, event: 'Events' }] }],
    [
      'snake_case twins',
      { type: 'track', event: 'Snake', user_id: 'u-1', anonymous_id: 'a', message_id: 'snake', group_id: null },
    ],
    ['a numeric id', { type: 'track', event: 'Number', userId: 42 }],
    [
      'explicit nulls',
      {
        ...track,
        event: 'Nulls',
        groupId: null,
        anonymousId: null,
        messageId: null,
        traits: null,
        context: null,
        timestamp: null,
      },
    ],
    ['Unix milliseconds', { ...track, event: 'Millis', timestamp: 1772029800123 }],
    [
      'milliseconds as text, as a pixel sends them',
      { ...track, event: 'Pixel', timestamp: '1772029800123', properties: { value: '12.50' } },
    ],
    [
      'a JSON type with parameters',
      { ...track, event: 'Charset' },
      { 'content-type': 'application/json; charset=utf-8' },
    ],
    ['a JSON subtype', { ...track, event: 'Subtype' }, { 'content-type': 'application/cloudevents+json' }],
  ];
  for (const [name, body, headers] of forms) {
    t.test(name, async (t) => {
      const answer = await post(body, headers);
      t.equal(answer.body.events?.[0]?.status, 'delivered', answer.text);
    });
  }
  for (const [encoding, encode] of [
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ] as const) {
    t.test(`a body compressed by ${encoding}`, async (t) => {
      const answer = await post(encode(JSON.stringify({ ...track, event: encoding })), {
        'content-encoding': encoding,
      });
      t.equal(answer.body.events?.[0]?.status, 'delivered', answer.text);
    });
  }
  t.test('numeric and textual ids are one person; the time is that of the event', async (t) => {
    await post({ type: 'track', event: 'Text', userId: '42' });
    t.strictSame(
      simulator.timeline('42').map(({ eventName }) => eventName),
      ['Number', 'Text'],
    );
    t.match(
      simulator.timeline('u-1').find(({ eventName }) => eventName === 'Millis'),
      { createdAt: 1772029800 },
    );
  });
  t.test('a number too long for JSON is the id that stands in the text', async (t) => {
    await post('{"type":"track","event":"Long","userId":12345678901234567890,"properties":{"n":12345678901234567890}}');
    t.match(simulator.timeline('12345678901234567890'), [{ eventName: 'Long' }]);
  });
  t.test('an anonymous event is filtered where the configuration says so', async (t) => {
    const { status, body } = await post({ type: 'page', anonymousId: 'a-1', userId: '' });
    t.equal(status, 200);
    t.match(body.events[0], { status: 'filtered', reason: 'no_identifier' });
  });
});

t.test('what makes a repeat, where no messageId is sent', async (t) => {
  const { post } = await startService(t);
  const statusOf = async (body: unknown, headers?: Record<string, string>) =>
    (await post(body, headers)).body.events[0]?.status;
  t.equal(await statusOf(track, { 'idempotency-key': 'k-1' }), 'delivered');
  t.equal(
    await statusOf({ ...track, event: 'Other' }, { 'idempotency-key': 'k-1' }),
    'duplicate',
    'the same Idempotency-Key',
  );
  t.equal(await statusOf({ ...track, event: 'Third' }, { 'webhook-id': 'w-1' }), 'delivered');
  t.equal(await statusOf({ ...track, event: 'Fourth' }, { 'webhook-id': 'w-1' }), 'duplicate', 'the same webhook-id');
  t.equal(await statusOf({ ...track, properties: { a: 1, b: 2 } }), 'delivered');
  t.equal(
    await statusOf({ userId: 'u-1', properties: { b: 2, a: 1 }, event: 'Clicked', type: 'track' }),
    'duplicate',
    'the same event, whatever the order of its keys',
  );
  t.equal(await statusOf({ ...track, properties: { a: 1, b: 3 } }), 'delivered');
});

t.test('a repeat within one request and in parallel requests is sent once', async (t) => {
  const { post, simulator } = await startService(t);
  const event = { ...track, messageId: 'race' };
  const answers = await Promise.all(Array.from({ length: 50 }, () => post([event, event])));
  const statuses = answers.flatMap(({ body }) => body.events.map(({ status }) => status));
  t.equal(statuses.filter((status) => status === 'delivered').length, 1);
  t.equal(statuses.filter((status) => status === 'duplicate').length, 99);
  t.equal(simulator.timeline('u-1').length, 1);
});

t.test('without an installation the service is ready, and /ingest says what to do', async (t) => {
  const { post, get } = await startService(t, { env: { INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '' } });
  t.match(await get('/readyz'), { status: 200, text: /no_installation/ });
  const { status, headers, body } = await post(track);
  t.equal(status, 503);
  t.ok(headers['retry-after']);
  t.match(body.detail, /INTERCOM_ACCESS_TOKEN/);
});

t.test('who may send', async (t) => {
  const auth = {
    tokens: ['new-token', 'old-token'],
    basic: ['signal:pass:word'],
    hmacSecrets: ['s3cret', `whsec_${Buffer.from('key').toString('base64')}`],
    open: false,
  };
  const nowMs = 1_772_029_800_000;
  const rawBody = Buffer.from('{"a":1}');
  const check = (headers: Record<string, string>, body = rawBody) =>
    createAuthenticator(auth, () => nowMs)({ headers, rawBody: body, remoteAddress: '10.0.0.9' }).ok;
  const hmac = (secret: string | Buffer, text: string, encoding: 'hex' | 'base64' = 'hex') =>
    createHmac('sha256', secret).update(text).digest(encoding);
  const signal = (ms: number) => ({
    'x-timestamp': String(ms),
    'x-signature': `sha256=${hmac('s3cret', `${ms}.{"a":1}`)}`,
  });

  t.ok(check({ authorization: 'Bearer new-token' }), 'a bearer token');
  t.ok(check({ authorization: 'bearer old-token' }), 'the old token, while rotating');
  t.notOk(check({ authorization: 'Bearer wrong' }));
  t.ok(check({ authorization: `Basic ${Buffer.from('signal:pass:word').toString('base64')}` }), 'user and password');
  t.notOk(check({ authorization: `Basic ${Buffer.from('signal:pass').toString('base64')}` }));
  t.ok(check(signal(nowMs)), "Signal's signature");
  t.ok(check(signal(nowMs - 299_000)));
  t.notOk(check(signal(nowMs - 301_000)), 'five minutes old');
  t.notOk(check(signal(nowMs + 301_000)), 'from the future');
  t.notOk(check(signal(nowMs), Buffer.from('{"a":2}')), 'another body');
  t.notOk(check({ 'x-timestamp': String(nowMs) }), 'no signature');
  t.ok(check({ 'x-signature': hmac('s3cret', '{"a":1}') }), 'a signature of the body alone');
  const seconds = nowMs / 1000;
  const standard = {
    'webhook-id': 'w',
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,AAAA v1,${hmac('key', `w.${seconds}.{"a":1}`, 'base64')}`,
  };
  t.ok(check(standard), 'Standard Webhooks');
  t.notOk(check({ ...standard, 'webhook-id': 'x' }));
  t.notOk(check({}));

  const nobody = { tokens: [], basic: [], hmacSecrets: [] };
  const from = (remoteAddress: string, open: boolean) =>
    createAuthenticator({ ...nobody, open })({ headers: {}, rawBody, remoteAddress });
  t.ok(from('127.0.0.1', false).ok, 'without a credential this machine may send');
  t.ok(from('::ffff:127.0.0.1', false).ok);
  t.match(
    from('172.17.0.1', false),
    { ok: false, detail: /INGEST_AUTH=none/ },
    'and others are told what to configure',
  );
  t.ok(from('172.17.0.1', true).ok);

  const { post, simulator } = await startService(t, { env: { INGEST_TOKEN: 'sesame' } });
  t.equal((await post(track)).status, 401);
  t.strictSame(writes(simulator), [], 'nothing was kept');
  t.equal((await post(track, { authorization: 'Bearer sesame' })).status, 200);
});

t.test('the Prefer header: wait in seconds, respond-async, anything else is the default', async (t) => {
  t.strictSame(readPreference('wait=3', 1000), { waitMs: 3000, applied: 'wait=3' });
  t.strictSame(readPreference('respond-async, wait=10', 1000), { waitMs: 10_000, applied: 'wait=10' });
  t.strictSame(readPreference('respond-async', 1000), { waitMs: 0, applied: 'respond-async' });
  t.strictSame(readPreference('wait=soon, return=minimal', 1000), { waitMs: 1000, applied: null });
  t.strictSame(readPreference(undefined, 1000), { waitMs: 1000, applied: null });
  t.equal(readPreference('wait=999999', 1000).waitMs, 60_000);
});

function nested(depth: number): object {
  return depth === 0 ? {} : { deeper: nested(depth - 1) };
}

t.test('a sender that keeps its connection does not keep the service from ending', async (t) => {
  const { url, stop, simulator } = await startService(t);
  const delivered = Promise.withResolvers<void>();
  simulator.inject({ kind: 'slow', endpoint: 'POST /contacts', ms: 0, until: delivered.promise });
  const agent = new Agent({ keepAliveTimeout: 120_000 });
  t.teardown(() => agent.close());
  const answer = request(`${url}/ingest`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=60' },
    body: JSON.stringify(track),
    dispatcher: agent,
  });
  await until('it is under way', () => simulator.count('POST /contacts') === 1);
  let hasEnded = false;
  void stop().then(() => (hasEnded = true));
  const { statusCode, body } = await answer;
  await body.dump();
  t.equal(statusCode, 202, 'who waits for the delivery is answered');
  delivered.resolve();
  await until('the service has ended', () => hasEnded);
});
