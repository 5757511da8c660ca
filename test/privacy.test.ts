import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { startSimulator } from '../src/simulator/simulator.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

/** Everything of a person, and every secret, has this in it. */
const canary = 'canary';
const adminToken = `${canary}-admin-token-0123456789`;
const ingestToken = `${canary}-ingest-token-0123456789`;
const authorization = `Bearer ${adminToken}`;

/** Remembers all that is sent to it. */
async function startListener(t: Test): Promise<{ url: string; received(): string }> {
  let received = '';
  const server = createServer((incoming, response) => {
    received += `${incoming.url}\n${JSON.stringify(incoming.headers)}\n`;
    incoming.on('data', (chunk) => (received += String(chunk)));
    incoming.on('end', () => void response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received: () => received };
}

t.test('no log line, metric, trace or alert holds anything of a person, or a secret', async (t) => {
  const simulator = await startSimulator({ tokens: [token] });
  t.teardown(() => simulator.close());
  const [collector, chat] = [await startListener(t), await startListener(t)];
  const service = await startProcess(t, {
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    ADMIN_TOKEN: adminToken,
    INGEST_TOKEN: ingestToken,
    LOG_LEVEL: 'trace',
    ALERT_WEBHOOK_URL: chat.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });
  const { url } = service;
  const sender = { authorization: `Bearer ${ingestToken}`, prefer: 'wait=10' };
  const send = (body: unknown, headers: Record<string, string> = sender) => tryPost(url, body, headers);
  const ask = async (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown, headers = { authorization }) => {
    const answer = await request(url + path, {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  };
  const person = (n: number) => ({
    userId: `${canary}-user-${n}`,
    anonymousId: `${canary}-device-${n}`,
    traits: { email: `${canary}-${n}@example.com`, name: `Name ${canary}`, phone: '+491701234567', plan: canary },
    properties: { title: canary, url: `https://shop.example/?email=${canary}`, total: 1.5, currency: 'EUR' },
    context: { ip: '203.0.113.77', userAgent: `Agent ${canary}`, consent: { functional: true } },
  });

  t.match(await send({ type: 'identify', ...person(1) }), { status: 200 }, 'success');
  t.match(await send({ type: 'track', event: `Event ${canary}`, ...person(1), messageId: `${canary}-m` }), {
    status: 200,
  });
  simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /events', times: 1 });
  t.match(await send({ type: 'track', event: 'Retried', ...person(1) }), { status: 202 }, 'a retry');
  await until('it is through', () => simulator.timeline(`${canary}-user-1`).length === 2);
  simulator.inject({ kind: 'status', status: 422, endpoint: 'POST /events', times: 1 });
  t.match(await send({ type: 'track', event: 'Died', ...person(1) }), { status: 422 }, 'a dead letter');
  t.match(await send({ type: 'track', event: 'Withheld', ...person(2), context: { consent: { functional: false } } }), {
    status: 200,
  });
  t.match(await send({ type: canary, userId: canary }), { status: 400 }, 'an invalid event');
  t.match(await send(canary), { status: 400 });
  t.match(await send({ type: 'track' }, { authorization: `Bearer ${canary}-wrong` }), { status: 401 }, 'a stranger');
  t.match(await ask('GET', `/${canary}?email=${canary}`), { status: 404 });
  t.match(await ask('GET', `/events?email=${canary}-1@example.com&text=${canary}`), { status: 200 });
  t.match(await ask('GET', `/people/email:${canary}-1@example.com`), { status: 200 });
  t.match(await ask('GET', '/events', undefined, { authorization: `Bearer ${canary}-guess` }), { status: 401 });
  t.match(await ask('POST', '/explain', { type: 'identify', ...person(3) }), { status: 200 });
  t.match(
    await ask('POST', '/v1/admin/integration-catalog/intercom/install', {
      name: 'Second',
      config: { access_token: `${canary}-access-token`, region: 'eu' },
    }),
    { status: 422 },
    'a token that Intercom does not know',
  );
  t.ok((await ask('DELETE', `/people/user:${canary}-user-1`)).status < 300, 'an erasure');
  await until('the erasure is through', () => simulator.count('DELETE /contacts/{id}') > 0);
  await until('the alert is sent', () => chat.received().includes('dead_letters'), 60_000);
  await until('traces are sent', () => collector.received().includes('POST /events'), 30_000);
  const metrics = await ask('GET', '/metrics');
  t.equal(await service.end('SIGTERM'), 0);

  const places = {
    log: service.output(),
    metrics: metrics.text,
    traces: collector.received(),
    alerts: chat.received(),
  };
  for (const [place, text] of Object.entries(places)) {
    t.ok(text.length > 200, `${place}: something is written`);
    for (const secret of [canary, '203.0.113.77', '491701234567', token]) {
      const at = text.indexOf(secret);
      t.equal(at, -1, `${place}: ${text.slice(Math.max(0, at - 200), at + 100)}`);
    }
  }
});
