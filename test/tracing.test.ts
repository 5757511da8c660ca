import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { z } from 'zod';
import { startSimulator } from '../src/simulator/simulator.ts';
import { openTracing } from '../src/tracing/open.ts';
import { urlTemplate } from '../src/tracing/url-template.ts';
import { startProcess } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const Value = z.union([
  z.object({ stringValue: z.string() }).transform(({ stringValue }) => stringValue),
  z.object({ intValue: z.coerce.number() }).transform(({ intValue }) => intValue),
  z.looseObject({}).transform((other) => JSON.stringify(other)),
]);
const Attributes = z
  .array(z.object({ key: z.string(), value: Value }))
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value])));
const Span = z.object({
  name: z.string(),
  kind: z.int(),
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes: Attributes,
  links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
  status: z.object({ code: z.int().optional() }).default({}),
});
type Span = z.output<typeof Span>;
const Export = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: Attributes }),
      scopeSpans: z.array(z.object({ spans: z.array(Span) })),
    }),
  ),
});

/** An OTLP/HTTP collector of JSON. */
async function startCollector(t: Test) {
  const spans: Span[] = [];
  const resources: Record<string, unknown>[] = [];
  const headers: Record<string, unknown>[] = [];
  let text = '';
  const server = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (chunk) => (body += String(chunk)));
    incoming.on('end', () => {
      text += body;
      headers.push({ path: incoming.url, ...incoming.headers });
      for (const { resource, scopeSpans } of Export.parse(JSON.parse(body)).resourceSpans) {
        resources.push(resource.attributes);
        spans.push(...scopeSpans.flatMap((scope) => scope.spans));
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the collector has no port');
  return { url: `http://127.0.0.1:${address.port}`, spans, resources, headers, text: () => text };
}

async function startTraced(t: Test, env: Record<string, string>) {
  const simulator = await startSimulator({ tokens: [token] });
  t.teardown(() => simulator.close());
  const service = await startProcess(t, {
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INGEST_WAIT_MS: '30000',
    OTEL_BSP_SCHEDULE_DELAY: '50',
    ...env,
  });
  const post = async (body: unknown, headers: Record<string, string> = {}) => {
    const response = await request(`${service.url}/ingest`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    await response.body.dump();
    return response.statusCode;
  };
  await until('it is ready', async () => {
    const { statusCode, body } = await request(`${service.url}/readyz`);
    await body.dump();
    return statusCode === 200;
  });
  return { simulator, service, post };
}

const callerTrace = '0af7651916cd43dd8448eb211c80319c';
const callerSpan = 'b7ad6b7169203331';

t.test('one trace leads from the request to the calls of Intercom, without personal data', async (t) => {
  const collector = await startCollector(t);
  const { simulator, post } = await startTraced(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=secret-key',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
  });
  simulator.inject({ kind: 'status', status: 503, endpoint: 'POST /contacts' });
  const event = {
    type: 'identify',
    userId: 'jane-7',
    traits: { email: 'jane@example.com' },
    messageId: 'jane-7-signs-up',
  };
  t.equal(await post(event, { traceparent: `00-${callerTrace}-${callerSpan}-01` }), 202);
  const named = (name: string) => collector.spans.filter((span) => span.name === name);
  await until('both attempts have arrived', () => named('deliver default').length === 2 && named('POST /ingest')[0]);

  const [ingest] = named('POST /ingest');
  t.match(ingest, { kind: 2, traceId: callerTrace, parentSpanId: callerSpan });
  t.match(ingest?.attributes, {
    'http.request.method': 'POST',
    'http.route': '/ingest',
    'url.path': '/ingest',
    'http.response.status_code': 202,
  });
  const [failed, delivered] = named('deliver default');
  for (const attempt of [failed, delivered]) {
    t.match(attempt, { kind: 5, traceId: callerTrace, parentSpanId: ingest?.spanId });
    t.match(attempt?.links, [{ traceId: callerTrace, spanId: ingest?.spanId }]);
    t.match(attempt?.attributes, {
      'messaging.operation.type': 'process',
      'messaging.destination.name': 'default',
      'messaging.message.id': 'evt_000000001',
      'signal_intercom.event.type': 'identify',
    });
  }
  t.match(failed?.attributes, { 'signal_intercom.outcome': 'retry', 'error.type': 'server_error' });
  t.match(failed?.status, { code: 2 });
  t.match(delivered?.attributes, { 'signal_intercom.outcome': 'delivered', 'signal_intercom.attempt': 2 });
  t.not(delivered?.status.code, 2);
  t.ok(ingest!.startTimeUnixNano <= failed!.startTimeUnixNano);
  t.ok(failed!.endTimeUnixNano <= delivered!.startTimeUnixNano);

  const calls = named('POST /contacts');
  t.same(
    calls.map(({ parentSpanId }) => parentSpanId),
    [failed?.spanId, delivered?.spanId],
  );
  t.match(
    calls.map(({ kind, attributes }) => ({ kind, ...attributes })),
    [
      { kind: 3, 'http.response.status_code': 503, 'error.type': '503' },
      { kind: 3, 'http.response.status_code': 200, 'server.address': '127.0.0.1', 'url.template': '/contacts' },
    ],
  );
  for (const [index, attempt] of [failed!, delivered!].entries()) {
    const call = calls[index]!;
    t.ok(attempt.startTimeUnixNano <= call.startTimeUnixNano, 'a call starts within its attempt');
    t.ok(call.startTimeUnixNano <= call.endTimeUnixNano);
    t.ok(call.endTimeUnixNano <= attempt.endTimeUnixNano, 'and ends within it');
  }

  t.match(collector.resources[0], {
    'service.name': 'signal-intercom',
    'service.version': /^\d/,
    'deployment.environment.name': 'test',
  });
  t.match(collector.headers[0], { path: '/v1/traces', 'x-api-key': 'secret-key' });
  t.notMatch(collector.text(), /jane|demo-token/);
});

t.test(
  'events that share a call are linked, whatever request brought them, and a restart forgets no trace',
  async (t) => {
    const collector = await startCollector(t);
    const simulator = await startSimulator({ tokens: [] });
    t.teardown(() => simulator.close());
    const env = {
      INTERCOM_API_URL: simulator.url,
      DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    };
    const first = await startProcess(t, env);
    for (const plan of ['silver', 'gold']) {
      const body = JSON.stringify({ type: 'identify', userId: 'u', traits: { plan } });
      const sent = { method: 'POST' as const, headers: { 'content-type': 'application/json' }, body };
      await (await request(`${first.url}/ingest`, sent)).body.dump();
    }
    t.equal(await first.end('SIGTERM'), 0);
    const ingests = collector.spans.filter(({ name }) => name === 'POST /ingest');
    t.equal(ingests.length, 2, 'what was collected is sent before the end');

    simulator.setTokens([token]);
    await startProcess(t, { ...env, OTEL_BSP_SCHEDULE_DELAY: '50' });
    const delivered = await until('the delivery has arrived', () =>
      collector.spans.find(({ name }) => name === 'deliver default'),
    );
    t.equal(delivered.attributes['messaging.batch.message_count'], 2);
    t.equal(delivered.traceId, ingests[0]?.traceId);
    t.same(delivered.links.map(({ spanId }) => spanId).sort(), ingests.map(({ spanId }) => spanId).sort());
  },
);

t.test('what is not sampled costs the delivery no span', async (t) => {
  const collector = await startCollector(t);
  const { post } = await startTraced(t, {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces`,
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
  });
  t.equal(await post({ type: 'track', event: 'Unseen', userId: 'u' }), 200);
  const seen = { traceparent: `00-${callerTrace}-${callerSpan}-01` };
  t.equal(await post({ type: 'track', event: 'Seen', userId: 'u' }, seen), 200);
  await until('the sampled one has arrived', () => collector.spans.some(({ name }) => name === 'deliver default'));
  t.same([...new Set(collector.spans.map(({ traceId }) => traceId))], [callerTrace]);
});

t.test('a collector that is down costs one log line, and nothing of the delivery', async (t) => {
  const { post, service } = await startTraced(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
    OTEL_EXPORTER_OTLP_TIMEOUT: '100',
    LOG_LEVEL: 'info',
  });
  t.equal(await post({ type: 'track', event: 'A', userId: 'u' }), 200);
  const lines = () =>
    service
      .output()
      .split('\n')
      .filter((line) => line.includes('tracing.not_sent')).length;
  await until('it is told', () => lines() === 1);
  t.equal(await post({ type: 'track', event: 'B', userId: 'u' }), 200);
  t.equal(await service.end('SIGTERM'), 0);
  t.equal(lines(), 1);
});

t.test('without the variables nothing of the SDK is loaded', async (t) => {
  const watch = `import { registerHooks } from 'node:module';
    registerHooks({ load(url, context, next) { if (/opentelemetry.(?!api)/.test(url)) console.log('loaded ' + url); return next(url, context); } });`;
  const preload = `--import data:text/javascript,${encodeURIComponent(watch)}`;
  const off = await startTraced(t, { NODE_OPTIONS: preload, OTEL_SERVICE_NAME: 'x' });
  t.equal(await off.post({ type: 'track', event: 'A', userId: 'u' }), 200);
  t.notMatch(off.service.output(), /loaded /);
  const on = await startTraced(t, { NODE_OPTIONS: preload, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
  t.match(on.service.output(), /loaded .*@opentelemetry\/sdk-trace/, 'the look itself works');
});

t.test('it stays off where it is switched off, or where what is asked for is not there', async (t) => {
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
  const open = (env: Record<string, string>) => openTracing(env, '1.0.0', log);
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
  t.equal(await open({}), null);
  t.equal(await open({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' }), null);
  t.equal(await open({ ...endpoint, OTEL_SDK_DISABLED: 'true' }), null);
  t.equal(await open({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), null);
  t.same(lines, []);
  t.equal(await open({ OTEL_TRACES_EXPORTER: 'zipkin' }), null);
  t.equal(await open({ ...endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }), null);
  t.match(lines.join(''), /OTEL_TRACES_EXPORTER=zipkin is not supported[^]*OTEL_EXPORTER_OTLP_PROTOCOL=grpc/);
});

t.test('the name of a call holds no id', async (t) => {
  t.equal(urlTemplate('/contacts/64ab0123456789abcdef0123/companies'), '/contacts/{id}/companies');
  t.equal(urlTemplate('/contacts/64ab0123456789abcdef0123/unarchive'), '/contacts/{id}/unarchive');
  t.equal(urlTemplate('/data_attributes?model=contact'), '/data_attributes');
  t.equal(urlTemplate('/contacts/search'), '/contacts/search');
});
