import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { Liveness, Readiness } from '../src/health.ts';
import { IngestAnswer, IngestProblem } from '../src/ingest/answer.ts';
import { limits, readBody } from '../src/ingest/body.ts';
import { parseEvent } from '../src/ingest/event.ts';
import { ingestProblem } from '../src/ingest/route.ts';
import { describeApi } from '../src/openapi.ts';
import { answerExamples } from '../src/openapi/answer-examples.ts';
import { healthPaths } from '../src/openapi/health.ts';
import { requestExamples } from '../src/openapi/request-examples.ts';
import { ProblemBody } from '../src/problem.ts';
import { QueueUnavailable } from '../src/queue/queue.ts';
import { type Service, startService, temporaryFolder, until } from './service.ts';

const { identify, batch } = requestExamples;
const methods = ['get', 'put', 'post', 'delete', 'patch'];

function run(args: string[], cwd = '.') {
  // No telemetry and no look for a newer version: a test needs no network.
  const env = { PATH: process.env.PATH, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', CI: '1' };
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

t.test('openapi.yaml is what the code describes', async (t) => {
  t.same(run(['scripts/openapi.ts', '--check']), { status: 0, stdout: '', stderr: '' });
});

t.test('npm run openapi writes the file, and --check tells when it has drifted', async (t) => {
  const folder = temporaryFolder(t);
  const script = resolve('scripts/openapi.ts');
  const drifted = {
    status: 1,
    stdout: '',
    stderr: 'openapi.yaml is not what the code describes: run npm run openapi and commit it.\n',
  };
  t.same(run([script, '--check'], folder), drifted, 'there is none yet');
  t.equal(run([script], folder).status, 0);
  t.equal(run([script, '--check'], folder).status, 0);
  const file = join(folder, 'openapi.yaml');
  writeFileSync(file, readFileSync(file, 'utf8').replace('Prefer', 'Preferred'));
  t.same(run([script, '--check'], folder), drifted);
});

t.test('redocly finds nothing to object to', async (t) => {
  const { stdout } = run(['node_modules/.bin/redocly', 'lint', 'openapi.yaml', '--format=json']);
  const { totals, problems } = z
    .object({ totals: z.looseObject({}), problems: z.array(z.unknown()) })
    .parse(JSON.parse(stdout));
  t.match(totals, { errors: 0, warnings: 0, ignored: 0 });
  t.same(problems, []);
});

t.test('every route of the service is described, and nothing else is', async (t) => {
  const { app } = await startService(t);
  const { paths } = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) }).parse(describeApi());
  const described = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item)
      .filter((key) => methods.includes(key))
      .map((method) => `${method.toUpperCase()} ${path}`),
  );
  t.same(described.sort(), registeredRoutes(app.http.printRoutes()).sort());
});

/** Reads Fastify's drawing of its routes: each level adds to the path of the one above. */
function registeredRoutes(drawing: string): string[] {
  const above: string[] = [];
  return drawing.split('\n').flatMap((line) => {
    const match = /^((?:│ {3}| {4})*)[├└]── (\S*)(?: \(([A-Z, ]+)\))?$/.exec(line);
    if (!match) return [];
    const [, indent = '', part = '', verbs] = match;
    const depth = indent.length / 4;
    const path = (above[depth - 1] ?? '') + part;
    above[depth] = path;
    const openApiPath = path.replaceAll(/:(\w+)/g, '{$1}');
    return (verbs?.split(', ') ?? []).filter((verb) => verb !== 'HEAD').map((verb) => `${verb} ${openApiPath}`);
  });
}

t.test('the service understands and delivers every request that is shown', async (t) => {
  const { post } = await startService(t);
  for (const [name, { value }] of Object.entries(requestExamples)) {
    const events = await readBody(Buffer.from(JSON.stringify(value)), undefined);
    for (const event of events) t.equal(parseEvent(event).ok, true, name);
    const { status, body } = await post(value);
    t.equal(status, 200, name);
    t.strictSame([...new Set(body.events.map((event) => event.status))], ['delivered'], name);
  }
});

t.test('every answer that is shown has the shape that is described', async (t) => {
  for (const [status, examples] of Object.entries(answerExamples)) {
    const schema =
      Number(status) < 300 ? IngestAnswer : ['400', '413', '422'].includes(status) ? IngestProblem : ProblemBody;
    t.not(Object.keys(examples).length, 0, status);
    for (const [name, { value }] of Object.entries(examples)) {
      t.strictSame(schema.parse(value), value, `${status} ${name}`);
      if ('status' in value) t.equal(value.status, Number(status), `${status} ${name}`);
    }
  }
});

t.test('the service gives the answers that are shown', async (t) => {
  const service = await startService(t);
  const withToken = await startService(t, { env: { INGEST_TOKEN: 'secret' } });
  const withSecret = await startService(t, { env: { INGEST_HMAC_SECRET: 'secret' } });
  const onHold = await startService(t, { simulator: { tokens: [] } });
  const empty = await startService(t, { env: { INTERCOM_ACCESS_TOKEN: '', INTERCOM_REGION: '' } });
  await until('the token is refused', async () => (await onHold.get('/readyz')).text.includes('token_invalid'));

  const event = { type: 'track', event: 'Signed Up', userId: 'user-9' };
  const shows = async (
    t: Test,
    by: Service,
    status: keyof typeof answerExamples,
    name: string,
    body: unknown,
    headers: Record<string, string> = {},
  ) => {
    const answer = await send(by, body, headers);
    const example = Object.entries(answerExamples[status]).find(([key]) => key === name)?.[1].value;
    t.strictSame(
      { status: answer.status, body: withoutIds(answer.body) },
      { status, body: withoutIds(example) },
      `${status} ${name}`,
    );
  };

  await t.test('of settled events', async (t) => {
    await shows(t, service, 200, 'delivered', identify.value);
    await shows(t, service, 200, 'duplicate', identify.value);
    await shows(t, service, 200, 'unchanged', { ...identify.value, messageId: 'm-2' });
    const refusing = { consent: { canonical: { essential: true, functional: false } } };
    await shows(t, service, 200, 'filtered', { ...event, messageId: 'm-3', context: refusing });
  });

  await t.test('of events under way', async (t) => {
    await shows(t, service, 202, 'underWay', { ...identify.value, messageId: 'm-4' }, { prefer: 'respond-async' });
    await shows(t, onHold, 202, 'onHold', { ...event, messageId: 'm-5' });
  });

  await t.test('of a batch with both', async (t) => {
    const page = { type: 'page', userId: identify.value.userId, messageId: 'm-6' };
    await shows(t, service, 207, 'mixed', [page, { type: 'track' }, { type: 'page', messageId: 'm-8' }]);
  });

  await t.test('of what is invalid, too large, or no JSON', async (t) => {
    await shows(t, service, 400, 'nobody', { type: 'page', messageId: 'm-9' });
    await shows(t, service, 400, 'invalidFields', { ...event, properties: [], timestamp: 'yesterday' });
    await shows(t, service, 400, 'emptyBatch', []);
    await shows(t, service, 400, 'invalidJson', '{"type":');
    await shows(t, service, 413, 'eventTooLarge', { ...event, properties: { text: 'x'.repeat(limits.eventBytes) } });
    await shows(
      t,
      service,
      413,
      'tooManyEvents',
      Array.from({ length: limits.events + 1 }, () => event),
    );
    await shows(t, service, 413, 'bodyTooLarge', ' '.repeat(limits.bodyBytes + 1));
    await shows(t, service, 415, 'notJson', 'event=Signed+Up', { 'content-type': 'application/x-www-form-urlencoded' });
    await shows(t, service, 415, 'unknownEncoding', batch.value, { 'content-encoding': 'zstd' });
  });

  await t.test('to who is not known, or comes too early', async (t) => {
    await shows(t, withToken, 401, 'wrongToken', event, { authorization: 'Bearer wrong' });
    const signature = { 'x-signature': `sha256=${'0'.repeat(64)}`, 'x-timestamp': String(Date.now()) };
    await shows(t, withSecret, 401, 'wrongSignature', event, signature);
    await shows(t, empty, 503, 'noInstallation', event);
  });

  await t.test('of what Intercom refuses', async (t) => {
    const errors = [{ code: 'parameter_invalid', message: 'event_name is too long' }];
    service.simulator.inject({
      kind: 'status',
      status: 422,
      endpoint: 'POST /events',
      body: { type: 'error.list', errors },
    });
    await shows(t, service, 422, 'refused', { ...event, userId: identify.value.userId, messageId: 'm-10' });
  });

  await t.test('when it can store nothing', async (t) => {
    const overloaded = ingestProblem(new QueueUnavailable('overloaded', 'more events arrive than the disk can take'));
    t.match(answerExamples[429].overloaded.value, {
      status: overloaded?.status,
      code: overloaded?.code,
      detail: overloaded?.detail,
    });
    const diskFull = ingestProblem(new QueueUnavailable('cannot_store', 'the disk is full'));
    t.match(answerExamples[503].cannotStore.value, {
      status: diskFull?.status,
      code: diskFull?.code,
      detail: diskFull?.detail,
    });
  });

  await t.test('of its health and metrics', async (t) => {
    const { 200: alive } = healthPaths['/healthz'].get.responses;
    t.strictSame(
      Liveness.parse(JSON.parse((await service.get('/healthz')).text)),
      alive.content['application/json'].example,
    );
    const { 200: ok, 503: failed } = healthPaths['/readyz'].get.responses;
    const { ready, noInstallation, storeOnly } = ok.content['application/json'].examples;
    const { held } = failed.content['application/json'].examples;
    const answers = [
      [service, '/readyz', 200, ready],
      [empty, '/readyz', 200, noInstallation],
      [onHold, '/readyz?only=store', 200, storeOnly],
      [onHold, '/readyz', 503, held],
    ] as const;
    for (const [by, path, status, { summary, value }] of answers) {
      const answer = await by.get(path);
      t.strictSame(
        { status: answer.status, body: Readiness.strict().parse(JSON.parse(answer.text)) },
        { status, body: value },
        summary,
      );
    }
    const real = (await service.get('/metrics')).text;
    const shown = healthPaths['/metrics'].get.responses[200].content['text/plain'].example;
    for (const line of shown.trim().split('\n')) t.ok(real.includes(line.replace(/ \d+$/, ' ')), line);
    const contract = healthPaths['/openapi.yaml'].get.responses[200].content['application/yaml'].example;
    t.ok((await service.get('/openapi.yaml')).text.includes(contract));
  });
});

async function send({ app }: Service, body: unknown, headers: Record<string, string>) {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await app.http.inject({
    method: 'POST',
    url: '/ingest',
    headers: { 'content-type': 'application/json', ...headers },
    payload,
  });
  return { status: response.statusCode, body: response.json<unknown>() };
}

/** Ids count what a database has kept: they are another in every run. */
function withoutIds(body: unknown): unknown {
  return JSON.parse(JSON.stringify(body).replaceAll(/evt_\w+/g, 'evt'));
}
