import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { Agent, request } from 'undici';
import { createFailedTokens } from '../src/console/failed-tokens.ts';
import { createListeners } from '../src/listeners.ts';
import { readConfig } from '../src/config.ts';
import { ConfigError } from '../src/config/environment.ts';
import { startSimulator } from '../src/simulator/simulator.ts';
import { freePort } from './free-port.ts';
import { startProcess, tryPost } from './process.ts';
import { startService, temporaryFolder, token, until } from './service.ts';

const adminToken = 'admin-token-of-the-test';
const authorization = `Bearer ${adminToken}`;

t.test('wrong admin tokens are slowed down; the right one is let in all the same', async (t) => {
  const { url } = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const ask = async (path: string, token: string) => {
    const { statusCode, headers, body } = await request(url + path, { headers: { authorization: `Bearer ${token}` } });
    return { statusCode, headers, body: await body.text() };
  };
  for (let n = 0; n < 10; n += 1) t.equal((await ask('/events', `guess-${n}`)).statusCode, 401);
  for (const path of ['/events', '/v1/admin/integrations', '/people/user:u-1', '/v1/admin/overview']) {
    const { statusCode, headers, body } = await ask(path, 'guess');
    t.equal(statusCode, 429, path);
    t.match(headers['retry-after'], /^([1-9]|[1-5]\d|60)$/);
    t.match(body, path.startsWith('/v1/admin/i') ? /"error":\{"code":"RATE_LIMITED"/ : /too_many_failures/);
  }
  t.equal((await ask('/events', adminToken)).statusCode, 200);
  t.equal((await request(`${url}/healthz`)).statusCode, 200, 'and nothing else is affected');
});

t.test('wrong tokens are counted by address, an IPv6 network as one, and forgotten after a minute', async (t) => {
  let nowMs = 0;
  const failed = createFailedTokens(() => nowMs);
  const many = (address: string) => Array.from({ length: 11 }, () => failed.count(address)).at(-1);
  t.equal(many('192.0.2.1'), 60);
  t.equal(failed.count('192.0.2.2'), null);
  t.equal(many('2001:db8::1'), 60);
  t.equal(failed.count('2001:db8:0:0:9::7'), 60, 'another address of that network');
  t.equal(failed.count('2001:db8:1::1'), null);
  nowMs = 60_000;
  t.equal(failed.count('192.0.2.1'), null);
});

t.test('every answer of the admin side, refusals and streams too, is shut to browsers', async (t) => {
  const { url } = await startService(t, { env: { ADMIN_TOKEN: adminToken } });
  const paths = ['/', '/events', '/events/stream', '/v1/admin/audit-log', '/v1/admin/overview', '/people/user:x'];
  for (const path of paths) {
    for (const headers of [{ authorization }, {}] as Record<string, string>[]) {
      const answer = await request(url + path, { headers });
      t.match(answer.headers, {
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'content-security-policy': /default-src 'none'.*frame-ancestors 'none'/,
        'access-control-allow-origin': undefined,
        'set-cookie': undefined,
      });
      answer.body.destroy();
      answer.body.on('error', () => {});
    }
  }
});

t.test('with an admin port, the other one has what senders and probes need, and nothing else', async (t) => {
  const { url, app, post } = await startService(t, { env: { ADMIN_TOKEN: adminToken, ADMIN_PORT: '0' } });
  const adminUrl = (await app.listenAdmin()) ?? '';
  const status = async (base: string, path: string) =>
    (await request(base + path, { headers: { authorization } })).statusCode;
  for (const path of ['/healthz', '/readyz?only=store', '/metrics'])
    for (const base of [url, adminUrl]) t.equal(await status(base, path), 200, base + path);
  for (const path of ['/', '/openapi.yaml', '/events', '/v1/admin/integrations', '/people/user:u', '/assets/x.js']) {
    t.equal(await status(url, path), 404, `${path} by the port of the senders`);
    t.not(await status(adminUrl, path), 401, `${path} by the admin port`);
  }
  t.equal(await status(adminUrl, '/events'), 200);
  t.equal((await post({ type: 'track', event: 'A', userId: 'u' })).status, 200);
  const unknown = await request(`${adminUrl}/events`);
  t.equal(unknown.statusCode, 401, 'the token is asked for there too');
});

const impatient = { headersTimeout: 300, requestTimeout: 600, connectionsCheckingInterval: 50 };

async function startImpatient(t: Test): Promise<number> {
  const listeners = createListeners({ admin: null, tls: null, log: { info() {}, error() {} }, patience: impatient });
  const http = Fastify({ ...listeners.options });
  http.post('/ingest', async () => 'ok');
  await http.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => http.close());
  const address = http.server.address();
  return typeof address === 'object' && address ? address.port : 0;
}

t.test('slow, silent and unreadable clients are answered and cut off', async (t) => {
  const port = await startImpatient(t);
  const head = 'POST /ingest HTTP/1.1\r\nhost: x\r\n';
  const cases: [name: string, bytes: string, answer: RegExp][] = [
    ['headers that do not end', head, /^HTTP\/1.1 408 .*too_slow/s],
    ['a body that does not end', `${head}content-type: text/plain\r\ncontent-length: 100\r\n\r\nabc`, /^HTTP\/1.1 408/],
    ['a connection that says nothing', '', /^(HTTP\/1.1 408.*)?$/s],
    ['headers over 16 KB', `${head}x: ${'y'.repeat(20_000)}\r\n\r\n`, /^HTTP\/1.1 431 .*headers_too_large/s],
    ['no HTTP', 'hello\r\n\r\n', /^HTTP\/1.1 400 .*problem\+json/s],
    ['two lengths', `${head}content-length: 1\r\ncontent-length: 2\r\n\r\na`, /^HTTP\/1.1 400/],
    [
      'a length and chunks',
      `${head}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1.1 400/,
    ],
  ];
  for (const [name, bytes, answer] of cases) {
    t.test(name, async (t) => {
      const socket = connect(port, '127.0.0.1');
      let got = '';
      let ended = false;
      socket.on('data', (chunk) => (got += String(chunk)));
      socket.on('close', () => (ended = true));
      socket.on('error', () => {});
      socket.write(bytes);
      await until('it is cut off', () => ended, 10_000);
      t.match(got, answer);
    });
  }
});

t.test('a connection that has sent nothing does not keep the service from ending', async (t) => {
  for (const env of [{}, { ADMIN_TOKEN: adminToken, ADMIN_PORT: String(await freePort()) }]) {
    const simulator = await startSimulator({ tokens: [token] });
    t.teardown(() => simulator.close());
    const service = await startProcess(t, {
      ...env,
      DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
      ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
      INTERCOM_API_URL: simulator.url,
    });
    await until('both ports are open', () => service.output().includes('service.started'));
    const ports = [new URL(service.url).port, ...('ADMIN_PORT' in env ? [env.ADMIN_PORT] : [])];
    for (const port of ports) {
      const silent = connect(Number(port), '127.0.0.1');
      t.teardown(() => silent.destroy());
      await once(silent, 'connect');
    }
    t.equal((await tryPost(service.url, { type: 'track', event: 'A', userId: 'u' }))?.status, 200);
    const startedAtMs = performance.now();
    t.equal(await service.end('SIGTERM'), 0, 'it ends well');
    t.comment(`after ${Math.round(performance.now() - startedAtMs)} ms`);
  }
});

t.test('the limits of a connection are set on the service itself', async (t) => {
  const { app } = await startService(t);
  await app.listenAdmin();
  t.match(app.http.server, { headersTimeout: 15_000, requestTimeout: 60_000, timeout: 120_000, maxConnections: 2000 });
});

t.test('TLS with a certificate of its own, which is taken anew when its files change', async (t) => {
  const folder = temporaryFolder(t);
  const [first, second] = [makeCertificate(folder, 'first'), makeCertificate(folder, 'second')];
  const files = { certFile: join(folder, 'cert.pem'), keyFile: join(folder, 'key.pem') };
  const install = ({ certFile, keyFile }: typeof files) => {
    copyFileSync(certFile, files.certFile);
    copyFileSync(keyFile, files.keyFile);
  };
  install(first);
  const env = { TLS_CERT_FILE: files.certFile, TLS_KEY_FILE: files.keyFile };
  const { url } = await startService(t, { env });
  const agent = new Agent({ connect: { rejectUnauthorized: false } });
  t.teardown(() => agent.close());
  const answer = await request(`${url.replace('http:', 'https:')}/healthz`, { dispatcher: agent });
  t.equal(answer.statusCode, 200);

  const lines: string[] = [];
  const log = {
    info: (_: object, text: string) => lines.push(text),
    error: (_: object, text: string) => lines.push(text),
  };
  const listeners = createListeners({ admin: null, tls: files, log: log as never, lookEveryMs: 20 });
  const http = Fastify({ ...listeners.options });
  await http.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => listeners.close(http));
  const port = (http.server.address() as { port: number }).port;
  t.equal(await nameOf(port), 'first');
  copyFileSync(second.certFile, files.certFile);
  await until('the mismatch is told', () => lines.some((line) => line.startsWith('tls.not_reloaded')));
  t.equal(await nameOf(port), 'first', 'one file of two is not enough');
  install(second);
  await until('it is reloaded', () => lines.includes('tls.reloaded'));
  t.equal(await nameOf(port), 'second');
});

t.test('files that can not be used are told at the start, with what is wrong', async (t) => {
  const folder = temporaryFolder(t);
  const [one, two] = [makeCertificate(folder, 'one'), makeCertificate(folder, 'two')];
  const problems = (cert: string | undefined, key: string | undefined): string[] => {
    try {
      readConfig({ TLS_CERT_FILE: cert, TLS_KEY_FILE: key });
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
    }
    return [];
  };
  t.match(problems(one.certFile, undefined), [/^TLS_KEY_FILE is missing/]);
  t.match(problems('/nowhere.pem', one.keyFile), [/^TLS_CERT_FILE can't be read: ENOENT/]);
  t.match(problems(one.keyFile, one.keyFile), [/^TLS_CERT_FILE holds no certificate/]);
  t.match(problems(one.certFile, one.certFile), [/^TLS_KEY_FILE holds no private key/]);
  t.match(problems(one.certFile, two.keyFile), [/^TLS_KEY_FILE is not the key of TLS_CERT_FILE/]);
  t.strictSame(problems(one.certFile, one.keyFile), []);
});

function makeCertificate(folder: string, name: string): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const { status, stderr } = spawnSync('openssl', [
    ...args,
    '-subj',
    `/CN=${name}`,
    '-keyout',
    keyFile,
    '-out',
    certFile,
  ]);
  if (status !== 0) throw new Error(String(stderr));
  return { certFile, keyFile };
}

function nameOf(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().subject.CN));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
