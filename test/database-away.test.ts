import { Client } from 'pg';
import t from 'tap';
import { startPostgres } from './postgres.ts';
import { startService, until, writes } from './service.ts';

const secrets = {
  ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
  ADMIN_TOKEN: 'an-admin-token-of-tests',
  INGEST_WAIT_MS: '0',
};
// Of its own: it is stopped, and its settings are changed.
const server = await startPostgres({ settings: {} });
t.teardown(() => server.close());

const event = (messageId: string) => ({ type: 'track', event: 'Clicked', userId: 'u-1', messageId });

t.test('while the database is away senders are asked to come again, and afterwards everything goes on', async (t) => {
  const service = await startService(t, { env: { ...secrets, DATABASE_URL: await server.newDatabase() } });
  const { simulator, post, get } = service;
  await post(event('before'));
  await until('it is delivered', () => writes(simulator).includes('POST /events'));
  await server.stop('immediate');
  for (const messageId of ['first', 'second']) {
    const refused = await post(event(messageId));
    t.match(refused, { status: 503, body: { code: 'cannot_store' } });
    t.ok(Number(refused.headers['retry-after']) > 0);
  }
  t.match(await get('/readyz'), { status: 503 });
  t.match(await get('/healthz'), { status: 200 });
  await server.start();
  const kept = await until('events are taken again', async () => {
    const answer = await post(event('first'));
    return answer.status === 503 ? null : answer;
  });
  t.match(kept, { status: 202 });
  t.match(await post(event('before')), { body: { events: [{ status: 'duplicate' }] } });
  const arrived = () => simulator.timeline('u-1').length === 2;
  await until('what was kept is delivered', arrived);
});

t.test('a synchronous standby that is missing makes no request wait for it', async (t) => {
  const url = await server.newDatabase();
  const { simulator, post } = await startService(t, { env: { ...secrets, DATABASE_URL: url } });
  await post(event('before'));
  await until('it is delivered', () => simulator.timeline('u-1').length === 1);
  await set(url, 'nobody');
  // A session of the server takes the setting up before its next command, and not before.
  let probes = 0;
  await until('the server waits for it', async () => (await post(event(`probe-${(probes += 1)}`))).status === 503);
  for (const messageId of ['lost-1', 'lost-2'])
    t.match(await post(event(messageId)), { status: 503, body: { code: 'cannot_store' } });
  await set(url, '');
  await until('events are taken again', async () => (await post(event('lost-1'))).status !== 503);
  await until('each is delivered once', () => simulator.timeline('u-1').length >= 2);
  const answer = await post(event('lost-1'));
  t.match(answer, { body: { events: [{ status: 'duplicate' }] } }, 'whether it was kept at first or at last');
});

async function set(url: string, standbys: string): Promise<void> {
  const client = new Client(url);
  await client.connect();
  await client.query(`ALTER SYSTEM SET synchronous_standby_names = '${standbys}'`);
  await client.query('SELECT pg_reload_conf()');
  await client.end();
}
