import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import t from 'tap';
import { request } from 'undici';
import { startService, until } from './service.ts';

const track = { type: 'track', event: 'Clicked', userId: 'u-1' };
const adminToken = 'admin-token-of-the-test';
const authorization = `Bearer ${adminToken}`;

t.test('what no event may be is refused, with the place that is wrong', async (t) => {
  const { post } = await startService(t);
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  const cases: [
    name: string,
    body: string | Buffer,
    status: number,
    detail: RegExp,
    headers?: Record<string, string>,
  ][] = [
    ['an id of 513 characters', JSON.stringify({ ...track, userId: 'x'.repeat(513) }), 400, /userId .*512/],
    ['a messageId of 513', JSON.stringify({ ...track, messageId: 'x'.repeat(513) }), 400, /messageId .*512/],
    ['an anonymousId of 513', JSON.stringify({ ...track, anonymousId: 'x'.repeat(513) }), 400, /anonymousId .*512/],
    ['a groupId of 513', JSON.stringify({ type: 'group', userId: 'u', groupId: 'x'.repeat(513) }), 400, /groupId/],
    ['a key in the header of 513', JSON.stringify(track), 400, /512/, { 'idempotency-key': 'x'.repeat(513) }],
    ['an event name of 2,000', JSON.stringify({ ...track, event: 'x'.repeat(2000) }), 400, /event .*1024/],
    ['an infinite id', '{"type":"track","event":"A","userId":1e999}', 400, /userId/],
    ['200,000 levels', deep, 400, /deep|JSON/],
    ['200,000 levels in an event', `{"type":"track","event":"A","userId":"u","properties":{"a":${deep}}}`, 400, /deep/],
    ['deep levels beside a long number', `{"userId":12345678901234567890,"a":${deep}}`, 400, /deep|JSON|type/],
    ['a truncated gzip', gzipSync(JSON.stringify(track)).subarray(0, 30), 400, /gzip/, { 'content-encoding': 'gzip' }],
    ['gzip that is none', JSON.stringify(track), 400, /gzip/, { 'content-encoding': 'gzip' }],
    [
      'an encoding called constructor',
      JSON.stringify(track),
      415,
      /Content-Encoding/,
      { 'content-encoding': 'constructor' },
    ],
    [
      'an encoding called __proto__',
      JSON.stringify(track),
      415,
      /Content-Encoding/,
      { 'content-encoding': '__proto__' },
    ],
    ['two encodings', JSON.stringify(track), 415, /Content-Encoding/, { 'content-encoding': 'gzip, gzip' }],
    ['UTF-16', Buffer.from(JSON.stringify(track), 'utf16le'), 400, /JSON|UTF-8/],
    ['an overlong UTF-8 sequence', Buffer.from([0x22, 0xc0, 0x80, 0x22]), 400, /UTF-8/],
    ['text', JSON.stringify(track), 415, /content-type/, { 'content-type': 'text/plain' }],
    ['a form', 'a=b', 415, /content-type/, { 'content-type': 'multipart/form-data; boundary=x' }],
    [
      'a type that only begins like JSON',
      JSON.stringify(track),
      415,
      /content-type/,
      { 'content-type': 'application/jsonx' },
    ],
  ];
  for (const [name, body, status, detail, headers] of cases) {
    t.test(name, async (t) => {
      const answer = await post(body, headers);
      t.equal(answer.status, status, answer.text.slice(0, 300));
      t.match(answer.body.detail, detail);
      t.ok(answer.text.length < 2000, 'the answer does not give back what was sent');
    });
  }
});

t.test('names that objects have of their own are names like others', async (t) => {
  const { post, simulator, logs } = await startService(t, { env: { CREATE_ATTRIBUTES: 'true' } });
  const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf', 'prototype'];
  for (const name of names) {
    for (const userId of [name, 'u-names']) {
      const answer = await post(
        `{"type":"track","event":"${name}","userId":"${userId}","properties":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"${name}":"v"}}`,
      );
      t.equal(answer.body.events[0]?.status, 'delivered', `${name} of ${userId}: ${answer.text}`);
    }
    const identify = await post(
      `{"type":"identify","userId":"${name}","traits":{"__proto__":{"polluted":1},"${name}":"v","constructor":"x"}}`,
    );
    t.equal(identify.body.events[0]?.status, 'delivered', identify.text);
    const group = await post(
      `{"type":"group","userId":"${name}","groupId":"${name}","traits":{"${name}":"v","name":"${name}"}}`,
    );
    t.equal(group.body.events[0]?.status, 'delivered', group.text);
  }
  t.equal(simulator.timeline('u-names').length, names.length);
  t.equal(({} as { polluted?: number }).polluted, undefined);
  t.notMatch(logs.join(''), 'TypeError');
});

t.test('of a key that comes twice the last counts, for the consent, the person and what is sent alike', async (t) => {
  const { post, simulator } = await startService(t);
  const { body } = await post(
    '{"type":"track","event":"One","event":"Two","userId":"u-first","userId":"u-last","context":{"consent":{"functional":false}},"context":{"consent":{"functional":true}}}',
  );
  t.equal(body.events[0]?.status, 'delivered');
  t.match(simulator.timeline('u-last'), [{ eventName: 'Two' }]);
  const refused = await post(
    '{"type":"track","event":"A","userId":"u-3","context":{"consent":{"functional":true}},"context":{"consent":{"functional":false}}}',
  );
  t.match(refused.body.events[0], { status: 'filtered', reason: 'consent_functional' });
});

t.test(
  'NUL and half characters reach neither the keys nor Intercom, and a restart finds everybody again',
  async (t) => {
    const first = await startService(t);
    const { simulator, databasePath } = first;
    const hostile = String.raw`\u0000\ud800x\udfff`;
    const bodies = [
      '{"type":"track","event":"Infinite","userId":"u-1","properties":{"value":1e999,"n":-1e999}}',
      `{"type":"identify","userId":"u${hostile}","anonymousId":"a${hostile}","traits":{"name":"n${hostile}","email":"e${hostile}@example.com"}}`,
      `{"type":"track","event":"e${hostile}","messageId":"m${hostile}","userId":"u${hostile}","properties":{"k${hostile}":"v${hostile}"}}`,
      `{"type":"group","groupId":"g${hostile}","userId":"u${hostile}","traits":{"name":"c${hostile}"}}`,
      `{"type":"track","event":"by email","traits":{"email":"half\\ud800@example.com"},"userId":"u${hostile}"}`,
    ];
    for (const body of bodies) {
      const answer = await first.post(body);
      t.equal(answer.body.events?.[0]?.status, 'delivered', answer.text);
    }
    await first.stop();
    const second = await startService(t, { simulator, databasePath });
    t.equal((await second.post(bodies[2]!)).body.events[0]?.status, 'duplicate');
    for (const { requestBody } of simulator.calls)
      t.notMatch(JSON.stringify(requestBody ?? ''), /\\u0000|\\ud[89a-f]/i);
  },
);

t.test('a bomb is stopped at 5 MB, and many at once leave the memory flat', async (t) => {
  const bombs = [
    [gzipSync(Buffer.alloc(100_000_000)), 'gzip'],
    [deflateSync(Buffer.alloc(100_000_000)), 'deflate'],
    [brotliCompressSync(Buffer.alloc(100_000_000)), 'br'],
  ] as const;
  const { post } = await startService(t);
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 4; round += 1) {
    const answers = await Promise.all(
      bombs.flatMap(([body, encoding]) =>
        Array.from({ length: 5 }, () => post(body, { 'content-encoding': encoding })),
      ),
    );
    // A few are unpacked at a time; who waited too long for that is told to come back.
    for (const { status } of answers) t.ok(status === 413 || status === 429, String(status));
    t.ok(answers.some(({ status }) => status === 413));
  }
  t.ok(process.memoryUsage().rss - before < 200_000_000, 'of 6 GB that they would unpack to');
});

t.test('what somebody sends begins no line of its own in the log', async (t) => {
  const { post, url, logs } = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const nasty = 'x\r\n{"level":"fatal","msg":"forged"}\u001b[2J\u001b]0;pwned\u0007\u2028';
  await post({ ...track, event: nasty, userId: nasty, messageId: nasty });
  await post({ type: nasty }, { 'x-request-id': 'forged \u009b2J' });
  await post('{', { 'content-encoding': 'forged' });
  for (const path of [
    `/${encodeURIComponent(nasty)}`,
    `/events/${encodeURIComponent(nasty)}`,
    `/events?q=${encodeURIComponent(nasty)}`,
  ])
    await (await request(url + path, { headers: { authorization, 'x-request-id': 'forged id' } })).body.dump();
  await until('the delivery is logged', () => logs.some((line) => line.includes('delivery.attempted')));
  for (const line of logs) {
    t.equal(line.trimEnd().split(/[\r\n]/).length, 1);
    t.notMatch(line.trimEnd(), /[\p{Cc}\p{Zl}]/u, 'and no escape sequence for a terminal');
    t.notMatch(line, 'forged');
  }
});

t.test('text for a database stays text', async (t) => {
  const { post, url } = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const sql = `'; DROP TABLE event; --`;
  await post({ ...track, event: sql, userId: sql, messageId: sql });
  const ask = async (query: Record<string, string>) => {
    const { statusCode, body } = await request(`${url}/events?${String(new URLSearchParams(query))}`, {
      headers: { authorization },
    });
    return { statusCode, found: ((await body.json()) as { data?: unknown[] }).data?.length };
  };
  for (const query of [{ name: sql }, { userId: sql }, { text: 'DROP TABLE' }] as Record<string, string>[])
    t.strictSame(await ask(query), { statusCode: 200, found: 1 });
  t.strictSame(await ask({ text: '%' }), { statusCode: 200, found: 0 }, 'a wildcard is a character');
  t.strictSame(await ask({ reason: sql }), { statusCode: 200, found: 0 });
});
