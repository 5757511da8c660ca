import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createIntercomClient, type Reply } from '../src/intercom/client.ts';
import { createRateLimiter } from '../src/intercom/rate-limiter.ts';
import { temporaryFolder } from './service.ts';

const timeoutMs = 400;

async function listen(t: Test, server: Server, scheme = 'http'): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function callAt(t: Test, baseUrl: string): Promise<Reply> {
  const client = createIntercomClient({
    target: () => ({ baseUrl, accessToken: 'secret' }),
    version: '2.11',
    connections: 1,
    limiter: createRateLimiter({ share: 1 }),
    timeoutMs,
  });
  t.teardown(() => client.close());
  const { signal } = new AbortController();
  return client.call({ method: 'GET', path: '/me', patience: { stop: signal, abort: signal } });
}

t.test('an answer that is too slow, too large or elsewhere is none', async (t) => {
  const cases: [name: string, answer: RequestListener, expected: object][] = [
    ['no answer at all', () => {}, { kind: 'no_answer', failure: 'timeout' }],
    [
      'one that drips and does not end',
      (_, response) => {
        response.writeHead(200);
        const timer = setInterval(() => response.write(' '), 50);
        response.once('close', () => clearInterval(timer));
      },
      { kind: 'no_answer', failure: 'timeout', sent: true },
    ],
    [
      'one without end',
      (_, response) => {
        response.writeHead(200);
        const pour = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536, 0x20)));
        };
        response.on('drain', pour);
        pour();
      },
      { kind: 'no_answer', failure: 'connection', code: 'UND_ERR_RES_EXCEEDED_MAX_SIZE' },
    ],
  ];
  for (const [name, answer, expected] of cases) {
    t.test(name, async (t) => {
      const server = createServer(answer);
      const url = await listen(t, server);
      t.teardown(() => server.closeAllConnections());
      const startedAtMs = performance.now();
      t.match(await callAt(t, url), expected);
      t.ok(performance.now() - startedAtMs < 10_000);
    });
  }
});

t.test('a redirect is not followed: the token goes to no other host', async (t) => {
  let asked = 0;
  const elsewhere = await listen(
    t,
    createServer((_, response) => {
      asked += 1;
      response.end('{}');
    }),
  );
  const url = await listen(
    t,
    createServer((_, response) => void response.writeHead(307, { location: `${elsewhere}/me` }).end()),
  );
  t.match(await callAt(t, url), { kind: 'answer', status: 307 });
  t.equal(asked, 0);
});

t.test('a certificate that nobody vouches for ends the call unsent, whatever the environment says', async (t) => {
  const folder = temporaryFolder(t);
  const [keyFile, certFile] = [join(folder, 'key'), join(folder, 'cert')];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const names = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  t.equal(spawnSync('openssl', [...args, ...names, '-keyout', keyFile, '-out', certFile]).status, 0);
  let asked = 0;
  const server = createTlsServer({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, (_, response) => {
    asked += 1;
    response.end('{}');
  });
  const url = await listen(t, server, 'https');
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.teardown(() => void delete process.env.NODE_TLS_REJECT_UNAUTHORIZED);
  t.match(await callAt(t, url), { kind: 'no_answer', failure: 'connection', sent: false });
  t.equal(asked, 0);
});
