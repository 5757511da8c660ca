import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readConfig } from '../src/config.ts';
import { describeDatabase } from '../src/config/database.ts';
import { ConfigError } from '../src/config/environment.ts';
import { apiUrlOf } from '../src/config/regions.ts';
import { startService, temporaryFolder, until } from './service.ts';

t.test('every problem is told at once, by the name of its variable and never by its value', async (t) => {
  const secret = 'dG9rZW4 with a space';
  const error = problemsOf({
    INTERCOM_ACCESS_TOKEN: secret,
    INTERCOM_REGION: 'mars',
    PORT: '99999',
    CONSENT_CATEGORY: 'all',
    INGEST_BASIC: 'no-colon',
    INGEST_HMAC_SECRET: 'whsec_!!!!',
    DATABASE_URL: 'mysql://x',
    MAPPING_FILE: '/nowhere/rules.yaml',
    ALERT_WEBHOOK_URL: 'ftp://chat.example/hook-secret',
    ALERT_BACKLOG_MINUTES: '0',
  });
  for (const name of [
    'INTERCOM_ACCESS_TOKEN',
    'INTERCOM_REGION',
    'PORT',
    'CONSENT_CATEGORY',
    'INGEST_BASIC',
    'INGEST_HMAC_SECRET',
    'DATABASE_URL',
    'ALERT_WEBHOOK_URL',
    'ALERT_BACKLOG_MINUTES',
  ]) {
    t.ok(
      error.problems.some((problem) => problem.startsWith(name)),
      name,
    );
  }
  t.notMatch(error.message, secret);
  t.notMatch(error.message, 'no-colon');
  t.notMatch(error.message, 'hook-secret');
});

t.test('an empty variable counts as unset, and the defaults are those of the contract', async (t) => {
  const config = readConfig({ INTERCOM_ACCESS_TOKEN: '', PORT: ' ', MARKETING_EVENTS: '' });
  t.match(config, {
    intercom: null,
    intercomVersion: '2.11',
    host: '127.0.0.1',
    port: 8080,
    database: { kind: 'sqlite', path: './data/signal-intercom.db' },
    roles: { ingest: true, dispatch: true, console: true },
    consentCategory: 'functional',
    consentWhenAbsent: 'allow',
    anonymousEvents: 'reject',
    eventNaming: 'preserve',
    ingestWaitMs: 1000,
    retryMaxAgeMs: 72 * 3_600_000,
    quotaShare: 1,
    concurrency: 64,
    maxQueuedEvents: 2_000_000,
  });
  t.ok(Object.isFrozen(config));
});

const shared = {
  DATABASE_URL: 'postgres://service:a%40secret@db.example:5432/signal?sslmode=verify-full',
  ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
  ADMIN_TOKEN: 'a-token-that-is-long-enough',
};

t.test(
  'a PostgreSQL database is taken with the secrets that its replicas share, and told of without any',
  async (t) => {
    const { database, roles } = readConfig({ ...shared, ROLES: 'console, ingest', DATABASE_CONNECTIONS: '20' });
    t.same(database, { kind: 'postgres', url: shared.DATABASE_URL, connections: 20 });
    t.same(roles, { ingest: true, dispatch: false, console: true });
    t.equal(describeDatabase(database), 'PostgreSQL at db.example:5432/signal');
    t.match(readConfig({ ...shared, DATABASE_URL: 'postgresql:///signal?host=/run/postgresql' }).database, {
      kind: 'postgres',
      connections: 10,
    });
    t.match(problemsOf({ DATABASE_URL: shared.DATABASE_URL }).problems, [
      /^ENCRYPTION_KEY is missing.*openssl rand -base64 32/,
      /^ADMIN_TOKEN is missing.*openssl rand -hex 24/,
    ]);
  },
);

t.test('what is no URL of a database is refused without telling it', async (t) => {
  for (const url of [
    'postgres://u:a-secret@a,b/signal',
    'postgres://u:a-secret@host',
    'mysql://u:a-secret@host/x',
    'file:',
  ]) {
    const { problems } = problemsOf({ ...shared, DATABASE_URL: url });
    t.match(problems, [/^DATABASE_URL /], url);
    t.notMatch(problems, [/a-secret/], url);
  }
});

t.test('roles are checked, and an embedded database has all of them', async (t) => {
  t.match(problemsOf({ ...shared, ROLES: 'ingest,egest' }).problems, [/^ROLES can only be ingest, dispatch, console/]);
  t.match(problemsOf({ ROLES: 'ingest' }).problems, [/^ROLES must be ingest,dispatch,console.*DATABASE_URL=postgres/]);
  t.match(readConfig({ ROLES: 'console,dispatch,ingest' }), { database: { kind: 'sqlite' } });
});

t.test('each region has its host', async (t) => {
  const url = (region: 'us' | 'eu' | 'au') => apiUrlOf(readConfig({}), region);
  t.strictSame((['us', 'eu', 'au'] as const).map(url), [
    'https://api.intercom.io',
    'https://api.eu.intercom.io',
    'https://api.au.intercom.io',
  ]);
});

t.test('a token without its region, and a region without its token, are refused with what to set', async (t) => {
  t.match(problemsOf({ INTERCOM_ACCESS_TOKEN: 'x' }).problems, [/INTERCOM_REGION is missing/]);
  t.match(problemsOf({ INTERCOM_REGION: 'us' }).problems, [/INTERCOM_ACCESS_TOKEN is missing/]);
});

t.test('the mapping file renames, drops and asks for consent; a mistake in it is named', async (t) => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'rules.yaml');
  writeFileSync(
    file,
    'events:\n  Heartbeat: { drop: true }\n  Viewed: { rename: Looked at }\n  Bought: { consent: marketing }\n',
  );
  const { post, simulator } = await startService(t, { env: { MAPPING_FILE: file } });
  const send = async (event: string) =>
    (await post({ type: 'track', event, userId: 'u', context: { consent: { functional: true } } })).body.events[0];
  t.match(await send('Heartbeat'), { status: 'filtered', reason: 'mapping_dropped' });
  t.match(await send('Bought'), { status: 'filtered', reason: 'consent_marketing' });
  t.match(await send('Viewed'), { status: 'delivered' });
  t.match(simulator.timeline('u'), [{ eventName: 'Looked at' }]);
  writeFileSync(file, 'events:\n  Heartbeat: { dorp: true }\n');
  t.match(problemsOf({ MAPPING_FILE: file }).problems, [/MAPPING_FILE.*dorp/]);
});

t.test(
  'a bad token is said in plain words; the service accepts, holds, and resumes by itself with nothing lost',
  async (t) => {
    const { post, get, simulator, logs } = await startService(t, { simulator: { tokens: ['the-new-token'] } });
    await until('the token was refused', () => simulator.count('GET /me') > 0);
    await until('it was said', () => logs.some((line) => line.includes('delivery.held')));
    const held = JSON.parse(logs.find((line) => line.includes('delivery.held'))!);
    t.match(held, {
      reason: 'token_invalid',
      message: /does not accept the access token/,
      remedy: /INTERCOM_ACCESS_TOKEN.*INTERCOM_REGION/,
    });
    t.match(await get('/readyz'), { status: 503, text: /"store":\{"ok":true\}.*token_invalid/ });
    t.match(await get('/readyz?only=store'), { status: 200 });
    t.match(await get('/healthz'), { status: 200 });
    const { status, body } = await post({ type: 'track', event: 'A', userId: 'u', messageId: 'held' });
    t.equal(status, 202);
    t.match(body.events[0], { status: 'queued', reason: 'hold_token_invalid' });
    t.equal(
      simulator.calls.filter(({ endpoint }) => endpoint !== 'GET /me').length,
      0,
      'nothing but the probe is sent',
    );
    simulator.setTokens(['demo-token']);
    await until('the event arrived', () => simulator.timeline('u').length === 1);
    t.notMatch(logs.join(''), 'demo-token', 'the token stands in no log line');
  },
);

t.test('a token of another region is told by its name, and nothing is sent there', async (t) => {
  const { post, logs, simulator } = await startService(t, { simulator: { region: 'Europe' } });
  await until('it was said', () => logs.some((line) => line.includes('delivery.held')));
  t.match(logs.join(''), /belongs to a workspace in the region eu, and INTERCOM_REGION says us/);
  t.match(logs.join(''), /set INTERCOM_REGION=eu/);
  t.equal((await post({ type: 'track', event: 'A', userId: 'u' })).status, 202);
  t.equal(simulator.count('POST /events'), 0);
});

function problemsOf(variables: Record<string, string>): ConfigError {
  try {
    readConfig(variables);
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('the configuration was accepted');
}
