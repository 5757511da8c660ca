import pino from 'pino';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { type Durability, judgeDurability, lookIntoPostgres } from '../src/doctor/postgres.ts';
import { startSimulator } from '../src/simulator/simulator.ts';
import { startPostgres } from './postgres.ts';
import { token, until } from './service.ts';

const server = await startPostgres();
t.teardown(() => server.close());
const admin = 'a-token-that-is-long-enough';

async function start(t: Test, url: string, intercom: string, roles: string) {
  const logs: string[] = [];
  const config = readConfig({
    INTERCOM_ACCESS_TOKEN: token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: intercom,
    DATABASE_URL: url,
    DATABASE_CONNECTIONS: '4',
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
    ADMIN_TOKEN: admin,
    ROLES: roles,
  });
  const app = await buildApp(config, pino({ base: null }, { write: (line: string) => void logs.push(line) }));
  t.teardown(() => app.stop(2000));
  const base = await app.http.listen({ host: '127.0.0.1', port: 0 });
  return {
    logs,
    async status(method: 'GET' | 'POST', path: string, body?: object) {
      const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' };
      const answer = await request(base + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
      return { status: answer.statusCode, text: await answer.body.text() };
    },
  };
}

t.test('taken apart, each process does its own part and no other, and together they deliver', async (t) => {
  const simulator = await startSimulator({ tokens: [token] });
  t.teardown(() => simulator.close());
  const url = await server.newDatabase();
  const ingest = await start(t, url, simulator.url, 'ingest');
  t.match(ingest.logs.join(''), /database\.migrated/);
  const event = { type: 'track', event: 'A', userId: 'u', messageId: 'm' };
  t.match(await ingest.status('POST', '/ingest', event), { status: 202, text: /"queued"/ });
  t.match(await ingest.status('GET', '/events'), { status: 404 });
  t.match(await ingest.status('GET', '/'), { status: 404 });
  t.match(await ingest.status('GET', '/readyz'), { status: 200, text: /"reason":"not_here"/ });
  t.match(await ingest.status('GET', '/metrics'), { status: 200 });

  const desk = await start(t, url, simulator.url, 'console');
  t.match(await desk.status('POST', '/ingest', event), { status: 404 });
  t.match(await desk.status('GET', '/events'), { status: 200, text: /"queued"/ });
  t.match(await desk.status('POST', '/explain', event), { status: 200 });
  t.match(await desk.status('GET', '/v1/admin/integrations'), { status: 200 });
  t.equal(simulator.calls.length, 0, 'nobody but who dispatches asks Intercom');

  const sender = await start(t, url, simulator.url, 'dispatch');
  await until('the event arrived', () => simulator.timeline('u').length === 1);
  t.match(await sender.status('POST', '/ingest', event), { status: 404 });
  t.match(await sender.status('GET', '/events'), { status: 404 });
  await until('it is told', async () => (await desk.status('GET', '/events')).text.includes('"delivered"'));
});

t.test('the doctor examines a PostgreSQL database before and after its first start, and writes nothing', async (t) => {
  const url = await server.newDatabase();
  const settings = { kind: 'postgres', url, connections: 10 } as const;
  const look = async (more: object = {}) => {
    const { checks } = await lookIntoPostgres({ ...settings, ...more });
    return new Map(checks.map((check) => [check.name, [check.status, check.message, check.remedy].join(' | ')]));
  };
  const before = await look();
  t.match(before.get('database'), /^ok.*PostgreSQL at 127\.0\.0\.1:\d+\/test_\w+, PostgreSQL \d+\.\d+/);
  t.match(before.get('schema'), /^ok.*made at the first start/);
  t.match(before.get('privileges'), /^ok.*may make the tables/);
  t.match(before.get('durability'), /fsync/);
  t.match(before.get('connections'), /^ok.*enough for \d+ replicas/);
  t.match(before.get('database clock'), /^ok/);
  t.match((await look()).get('schema'), /made at the first start/, 'the first look has made nothing');
  const { migrate } = await import('../src/queue/postgres/migrate.ts');
  await migrate(url);
  const after = await look({ connections: 150 });
  t.match(after.get('database'), /events queued: 0, dead letters: 0/);
  t.match(after.get('schema'), /^ok.*version \d+, up to date/);
  t.match(after.get('privileges'), /^ok.*may read and write/);
  t.match(after.get('connections'), /^warn.*not enough for two replicas/);
  const missing = await lookIntoPostgres({
    ...settings,
    url: url.replace('postgres@', 'postgres:a-secret@').replace(/\d+\/test/, '1/test'),
  });
  t.match(missing.checks[0], { name: 'database', status: 'fail', message: /can't be reached/ });
  t.notMatch(JSON.stringify(missing), /a-secret/);
});

t.test('what has to be lost before an event is: the doctor says it', async (t) => {
  const safe: Durability = {
    fsync: 'on',
    pages: 'on',
    commit: 'on',
    names: 'ANY 1 (a, b)',
    standbys: 2,
    synchronous: 2,
    seen: 2,
  };
  const judge = (change: Partial<Durability>) => judgeDurability({ ...safe, ...change });
  t.match(judge({}), { status: 'ok', message: /synchronous standbys attached: 2/ });
  t.match(judge({ names: '', synchronous: 0 }), {
    status: 'warn',
    message: /this server's disk alone/,
    remedy: /ANY 1.*Multi-AZ/,
  });
  t.match(judge({ standbys: 0, synchronous: 0, seen: 0 }), { status: 'fail', message: /503/ });
  t.match(judge({ synchronous: 0, seen: 0 }), { status: 'ok', message: /pg_monitor/ });
  t.match(judge({ commit: 'local' }), { status: 'warn' });
  t.match(judge({ commit: 'off' }), { status: 'fail', message: /synchronous_commit off/ });
});
