import { createHmac } from 'node:crypto';
import { connect } from 'node:net';
import t from 'tap';
import { type Service, startService, until, writes } from './service.ts';

const key = Buffer.from('0123456789abcdef0123456789abcdef');
const secrets = { plain: 'a-long-shared-secret', standard: `whsec_${key.toString('base64')}` };
const withSecrets = { INGEST_HMAC_SECRET: `${secrets.plain},${secrets.standard}` };

const event = (name: string) => JSON.stringify({ type: 'track', event: name, userId: 'u-1' });
const hmac = (secret: string | Buffer, text: string, encoding: 'hex' | 'base64' = 'hex') =>
  createHmac('sha256', secret).update(text).digest(encoding);

function asSignal(body: string, ms = Date.now()): Record<string, string> {
  return { 'x-timestamp': String(ms), 'x-signature': `sha256=${hmac(secrets.plain, `${ms}.${body}`)}` };
}

function asStandard(body: string, id: string, seconds = Math.floor(Date.now() / 1000)): Record<string, string> {
  const signature = hmac(key, `${id}.${seconds}.${body}`, 'base64');
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')} v2,AAAA v1,${signature}`,
  };
}

const statusOf = async ({ post }: Service, body: string, headers: Record<string, string>) => {
  const { status, body: answer } = await post(body, headers);
  return answer.events?.[0]?.status ?? status;
};

t.test('every credential that is configured lets its sender in, and the others stay out', async (t) => {
  const service = await startService(t, {
    env: { ...withSecrets, INGEST_TOKEN: 'new-token,old-token', INGEST_BASIC: 'signal:pass:word' },
  });
  const basic = (pair: string) => ({ authorization: `Basic ${Buffer.from(pair).toString('base64')}` });
  const bare = event('body alone');
  const accepted: [string, string, Record<string, string>][] = [
    ['bearer', event('bearer'), { authorization: 'Bearer new-token' }],
    ['the old bearer token, while rotating', event('old'), { authorization: 'Bearer old-token' }],
    ['basic', event('basic'), basic('signal:pass:word')],
    ["Signal's signature", event('signal'), asSignal(event('signal'))],
    ['one of several Standard Webhooks signatures', event('standard'), asStandard(event('standard'), 'msg_1')],
    ['a signature of the body alone', bare, { 'x-hub-signature-256': `sha256=${hmac(secrets.plain, bare)}` }],
  ];
  for (const [name, body, headers] of accepted) t.equal(await statusOf(service, body, headers), 'delivered', name);

  const before = writes(service.simulator);
  const body = event('refused');
  const now = Date.now();
  const refused: [string, Record<string, string>][] = [
    ['nothing', {}],
    ['another token', { authorization: 'Bearer other-token' }],
    ['the beginning of a token', { authorization: 'Bearer new-toke' }],
    ['basic with half the password', basic('signal:pass')],
    ['a signature of another body', asSignal(event('other'))],
    ['a signature of six minutes ago', asSignal(body, now - 360_000)],
    ['a signature of six minutes ahead', asSignal(body, now + 360_000)],
    ['a time that only a lenient parser takes for one', { ...asSignal(body, now), 'x-timestamp': `${now}.0` }],
    ['the id of another message', { ...asStandard(body, 'msg_2'), 'webhook-id': 'msg_3' }],
    ['a signature without its time', { 'x-signature': asSignal(body)['x-signature'] ?? '' }],
    ['a signature with an empty key', { 'x-signature': hmac('', body) }],
  ];
  for (const [name, headers] of refused) {
    const answer = await service.post(body, headers);
    t.equal(answer.status, 401, name);
    t.ok(answer.headers['www-authenticate'], 'with the schemes that are accepted');
  }
  t.strictSame(writes(service.simulator), before, 'nothing of them was sent');
  t.match((await service.get('/metrics')).text, /^signal_intercom_accepted_events_total 6$/m, 'nor kept');
});

t.test("a stranger's body is not even read", async (t) => {
  for (const env of [{ INGEST_TOKEN: 'a-long-token' }, withSecrets]) {
    const { url } = await startService(t, { env });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes) => (answer += String(bytes)));
    socket.write(
      'POST /ingest HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 5000000\r\n\r\n{',
    );
    await until('it is refused', () => answer.startsWith('HTTP/1.1 401'));
    socket.destroy();
  }
});

t.test('a signed request that is sent again changes nothing, and is answered like a repeat', async (t) => {
  const service = await startService(t, { env: withSecrets });
  const body = event('Paid');
  const headers = asSignal(body);
  t.equal(await statusOf(service, body, headers), 'delivered');
  t.equal(await statusOf(service, body, headers), 'duplicate', 'the same bytes');
  t.equal(await statusOf(service, body, { ...headers, 'idempotency-key': 'k-2' }), 'duplicate', 'under another key');
  t.equal(await statusOf(service, body, { ...headers, 'webhook-id': 'k-3' }), 'duplicate', 'under another id');
  t.equal(await statusOf(service, body, asSignal(body, Date.now() - 1)), 'duplicate', 'signed anew');
  const standard = asStandard(event('Again'), 'msg_9');
  t.equal(await statusOf(service, event('Again'), { ...standard, 'idempotency-key': 'k-4' }), 'delivered');
  t.equal(await statusOf(service, event('Again'), { ...standard, 'idempotency-key': 'k-5' }), 'duplicate');
  t.equal(await statusOf(service, event('Again'), asStandard(event('Again'), 'msg_10')), 'delivered', 'a new message');
  t.equal(service.simulator.timeline('u-1').length, 3);
});

t.test('a refusal for a reason of ours does not use a signature up', async (t) => {
  const service = await startService(t, { env: { ...withSecrets, INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '' } });
  const body = event('Later');
  const headers = asSignal(body);
  for (const _ of [1, 2]) t.equal((await service.post(body, headers)).status, 503);
});

t.test('without a credential, this machine alone may send: no proxy, and no foreign web page', async (t) => {
  const { post, url } = await startService(t);
  const { port } = new URL(url);
  t.equal((await post(event('A'))).status, 200);
  t.equal((await post(event('B'), { origin: url, host: `localhost:${port}` })).status, 200, 'the console');
  for (const headers of [
    { 'x-forwarded-for': '203.0.113.9' },
    { forwarded: 'for=203.0.113.9' },
    { via: '1.1 proxy' },
    { origin: `http://evil.example:${port}`, host: `evil.example:${port}` },
    { 'sec-fetch-site': 'same-origin', host: `evil.example:${port}` },
  ] as Record<string, string>[]) {
    const { status, body } = await post(event('C'), headers);
    t.equal(status, 401, Object.keys(headers).join());
    t.match(body.detail, /INGEST_AUTH=none/);
  }
  const open = await startService(t, { env: { INGEST_AUTH: 'none' } });
  t.equal((await open.post(event('D'), { 'x-forwarded-for': '203.0.113.9' })).status, 200);
});

t.test('a secret is rotated with an overlap: the old one works until the sender has the new one', async (t) => {
  const first = await startService(t, { env: { INGEST_TOKEN: 'old-token' } });
  const { simulator, databasePath } = first;
  const sends = (service: Service, name: string, token: string) =>
    statusOf(service, event(name), { authorization: `Bearer ${token}` });
  t.equal(await sends(first, 'one', 'old-token'), 'delivered');
  await first.stop();
  const both = await startService(t, { env: { INGEST_TOKEN: 'new-token,old-token' }, simulator, databasePath });
  t.equal(await sends(both, 'two', 'old-token'), 'delivered');
  t.equal(await sends(both, 'three', 'new-token'), 'delivered');
  await both.stop();
  const last = await startService(t, { env: { INGEST_TOKEN: 'new-token' }, simulator, databasePath });
  t.equal(await sends(last, 'four', 'new-token'), 'delivered');
  t.equal(await sends(last, 'five', 'old-token'), 401);
});
