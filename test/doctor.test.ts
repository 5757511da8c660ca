import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { z } from 'zod';
import { readConfig } from '../src/config.ts';
import type { Check } from '../src/doctor/check.ts';
import { checkAdminToken, checkSenders } from '../src/doctor/doors.ts';
import { checkNetwork } from '../src/doctor/network.ts';
import { checkWorkspace } from '../src/doctor/workspace.ts';
import { type Fault, type SimulatorOptions, startSimulator } from '../src/simulator/simulator.ts';
import { inherited } from './process.ts';
import { startService, temporaryFolder, token, until } from './service.ts';

const Report = z.object({
  ok: z.boolean(),
  checks: z.array(
    z.object({
      name: z.string(),
      status: z.enum(['ok', 'warn', 'fail', 'skipped']),
      message: z.string(),
      remedy: z.string().optional(),
    }),
  ),
});

async function run(env: Record<string, string>, args: string[] = []) {
  const child = spawn(process.execPath, ['src/doctor.ts', ...args], {
    env: { ...inherited(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (output += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, output };
}

/** The report by check; several findings of one name are told in one text. */
async function examine(env: Record<string, string>) {
  const { code, output } = await run(env, ['--json']);
  const { ok, checks } = Report.parse(JSON.parse(output));
  return {
    code,
    ok,
    output,
    of: (name: string) =>
      checks
        .filter((check) => check.name === name)
        .map(({ status, message, remedy }) => [status, message, remedy].filter(Boolean).join(' | '))
        .join('\n'),
    failed: checks.filter(({ status }) => status === 'fail').map(({ name }) => name),
    warned: checks.filter(({ status }) => status === 'warn').map(({ name }) => name),
  };
}

/** What the doctor finds when nobody else keeps the disk busy: it rightly tells of a sync that takes long. */
async function atRest<T extends { output: string }>(look: () => Promise<T>): Promise<T> {
  return until('the disk is at rest', async () => {
    const found = await look();
    return found.output.includes('use a faster disk') ? null : found;
  });
}

async function workspace(t: Test, options: SimulatorOptions = {}) {
  const simulator = await startSimulator({ tokens: [token], ...options });
  t.teardown(() => simulator.close());
  const folder = temporaryFolder(t);
  const env = {
    INTERCOM_ACCESS_TOKEN: token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${join(folder, 'queue.db')}`,
  };
  return { simulator, folder, env };
}

t.test('where all is well it says so, line by line, reads only, and leaves nothing behind', async (t) => {
  const { simulator, folder, env } = await workspace(t);
  const { code, output } = await atRest(async () => run(env));
  t.equal(code, 0, output);
  t.match(output, /All is well\.\n$/);
  for (const name of ['node', 'settings', 'disk', 'database', 'senders', 'admin token', 'network', 'token', 'region'])
    t.match(output, new RegExp(`^ok +${name} `, 'm'));
  for (const name of ['api version', 'permissions', 'attributes', 'quota', 'clock'])
    t.match(output, new RegExp(`^ok +${name} `, 'm'));
  t.match(output, /accepted by the workspace Intercom simulator/);
  t.match(output, /1667 calls per 10 seconds/);
  t.notMatch(output, token);
  t.same(readdirSync(folder), []);
  const writing = simulator.calls.filter(({ method, path }) => method !== 'GET' && path !== '/contacts/search');
  t.same(writing, []);
});

t.test('beside a running service it reads the same database, and neither disturbs the other', async (t) => {
  const { post, simulator, databasePath, app } = await startService(t);
  await post({ type: 'identify', userId: 'u', traits: { plan: 'gold', email: 'u@example.com' } });
  const { code, of, warned } = await atRest(() =>
    examine({
      INTERCOM_ACCESS_TOKEN: token,
      INTERCOM_REGION: 'us',
      INTERCOM_API_URL: simulator.url,
      DATABASE_URL: `file:${databasePath}`,
    }),
  );
  t.equal(code, 0);
  t.match(of('database'), /^ok.*sound, events queued: 0, dead letters: 0/);
  t.match(of('attributes'), /^warn.*the workspace lacks plan \(people\).*CREATE_ATTRIBUTES/);
  t.match(of('admin token'), /^ok.*kept in/);
  t.same(warned, ['attributes']);
  t.equal((await post({ type: 'track', event: 'A', userId: 'u' })).status, 200);
  await app.stop(2000);
  t.notOk(existsSync(`${databasePath}-wal`), 'the service could close its database as usual');
});

t.test('every mistake in the settings is told, and no value', async (t) => {
  const { code, of, output, failed } = await examine({
    INTERCOM_ACCESS_TOKEN: 'a secret',
    INTERCOM_REGION: 'mars',
    PORT: 'x',
  });
  t.equal(code, 1);
  t.same(failed, ['settings', 'settings', 'settings']);
  t.match(of('settings'), /INTERCOM_ACCESS_TOKEN.*\n.*INTERCOM_REGION must be us, eu or au.*\n.*PORT/);
  t.match(of('token'), /^skipped.*mend the settings first/);
  t.notMatch(output, 'a secret');
});

t.test('without any variable it says what to set', async (t) => {
  const folder = temporaryFolder(t);
  const { code, of, failed } = await examine({ DATABASE_URL: `file:${join(folder, 'queue.db')}` });
  t.equal(code, 1);
  t.same(failed, ['token']);
  t.match(of('token'), /no workspace is installed.*set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION/);
});

t.test('a misspelt variable is told by its name', async (t) => {
  const { env } = await workspace(t);
  const { code, of } = await examine({ ...env, INTERCOM_TOKEN: 'x', INGEST_TOKENS: 'y' });
  t.equal(code, 0);
  t.match(of('settings'), /INTERCOM_TOKEN is set, but no setting has this name.*\n.*INGEST_TOKENS/);
});

t.test('a token that Intercom refuses fails, and what depends on it is left out', async (t) => {
  const { env, simulator } = await workspace(t, { tokens: ['another'] });
  const { code, of, failed } = await examine(env);
  t.equal(code, 1);
  t.same(failed, ['token']);
  t.match(of('token'), /does not accept the access token.*copy the token anew.*INTERCOM_REGION/);
  t.match(of('permissions'), /^skipped/);
  t.equal(simulator.count(), 1);
});

t.test('a token of another region names the region to set', async (t) => {
  const { env } = await workspace(t, { region: 'Europe' });
  const { code, of, failed } = await examine(env);
  t.equal(code, 1);
  t.same(failed, ['region']);
  t.match(of('token'), /^ok/);
  t.match(of('region'), /belongs to a workspace in the region eu.*set INTERCOM_REGION=eu/);
});

t.test('a token that the region configured does not know is looked for in the others', async (t) => {
  const us = await startSimulator({ tokens: [] });
  const eu = await startSimulator({ tokens: [token], region: 'Europe' });
  t.teardown(() => Promise.all([us.close(), eu.close()]));
  const checks = await checkWorkspace({
    intercom: { accessToken: token, region: 'us', apiUrl: us.url },
    version: '2.11',
    share: 1,
    leftOut: [],
    hosts: [
      { region: 'us', url: us.url },
      { region: 'eu', url: eu.url },
    ],
  });
  t.match(checks[0], { name: 'token', status: 'fail', message: /hosted in eu/, remedy: 'set INTERCOM_REGION=eu' });
  t.equal(us.count(), 1);
});

t.test('a clock that is wrong is told with how much', async (t) => {
  const clock = async (minutes: number) =>
    (await ask(t, { simulator: { now: () => Date.now() + minutes * 60_000 } })).find(({ name }) => name === 'clock');
  t.match(await clock(-1), {
    status: 'warn',
    message: /(5[5-9]|6[0-5]) s ahead of Intercom's/,
    remedy: /synchronise the clock/,
  });
  t.match(await clock(10), {
    status: 'fail',
    message: /(59[5-9]|60[0-5]) s behind Intercom's: signed webhooks are refused/,
  });
});

t.test('a folder that cannot be written to fails, with whose permission is missing', async (t) => {
  const { env, folder } = await workspace(t);
  const locked = join(folder, 'locked');
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  // Root may write wherever the kernel lets anybody.
  const path = process.getuid?.() === 0 ? '/proc/queue.db' : join(locked, 'queue.db');
  const { code, of, failed } = await examine({ ...env, DATABASE_URL: `file:${path}` });
  t.equal(code, 1);
  t.same(failed, ['disk']);
  t.match(of('disk'), /nothing can be written to .*let the service's user .* write there, or set DATABASE_URL/);
});

t.test('a file that is no database fails', async (t) => {
  const { env, folder } = await workspace(t);
  writeFileSync(join(folder, 'queue.db'), 'no database at all, but a text that is long enough for a header'.repeat(99));
  const { code, of, failed } = await examine(env);
  t.equal(code, 1);
  t.same(failed, ['database']);
  t.match(of('database'), /can't be read.*not a database/);
});

t.test('a permission that the token lacks is named', async (t) => {
  const unauthorized = {
    kind: 'status' as const,
    status: 403,
    endpoint: 'POST /contacts/search',
    body: {
      type: 'error.list',
      errors: [{ code: 'token_unauthorized', message: 'Not authorized to access resource' }],
    },
  };
  t.match(ofKind(await ask(t, { fault: unauthorized }), 'fail'), [
    { name: 'permissions', message: /may not: search contacts \(token_scope\)/, remedy: /Developer Hub/ },
  ]);
});

t.test('an API version that Intercom does not know fails as such, and one that it does is a warning', async (t) => {
  t.match(ofKind(await ask(t, { version: '9.9' }), 'fail'), [
    { name: 'api version', message: /does not know the API version/, remedy: /INTERCOM_VERSION=2.11/ },
  ]);
  t.match(ofKind(await ask(t, { version: '2.13' }), 'warn'), [{ name: 'api version', remedy: /made for 2\.11/ }]);
});

t.test('a quota that is small is told', async (t) => {
  t.match(ofKind(await ask(t, { simulator: { limitPerMinute: 120 } }), 'warn'), [
    { name: 'quota', message: /20 calls per 10 seconds/ },
  ]);
});

t.test('an address where nobody answers, and a name that nobody knows, fail as the network', async (t) => {
  const { env } = await workspace(t);
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const address = closed.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  closed.close();
  const refused = await examine({ ...env, INTERCOM_API_URL: `http://127.0.0.1:${address.port}` });
  t.same(refused.failed, ['network']);
  t.match(refused.of('network'), /ECONNREFUSED.*firewall/);
  t.match(refused.of('token'), /^skipped.*mend the network first/);
  const unknown = await checkNetwork('https://intercom.invalid');
  t.match(unknown, { status: 'fail', message: /ENOTFOUND|EAI_AGAIN/, remedy: /the name is not found/ });
});

t.test('who may send is told: nobody from outside without a credential, everybody with none', async (t) => {
  const senders = (env: Record<string, string>) => checkSenders(readConfig(env));
  const outside = { HOST: '0.0.0.0' };
  t.match(senders({}), { status: 'ok', message: /this machine alone/ });
  t.match(senders(outside), { status: 'warn', message: /answered 401/, remedy: /set INGEST_TOKEN/ });
  t.match(senders({ ...outside, INGEST_AUTH: 'none' }), { status: 'warn', message: /everybody/ });
  t.match(senders({ ...outside, INGEST_BASIC: 'a-long-username:x' }), { status: 'warn', message: /short/ });
  const safe = senders({ ...outside, INGEST_TOKEN: 'a-long-random-text' });
  t.match(safe, { status: 'ok', message: /INGEST_TOKEN/ });
  t.notMatch(safe.message, 'a-long-random-text');
});

t.test('an admin token that others can read fails', async (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  const check = () => checkAdminToken(readConfig({ DATABASE_URL: `file:${path}` }));
  t.match(check(), { status: 'ok', message: /one is made at the first start/ });
  writeFileSync(`${path}.admin-token`, 'x', { mode: 0o644 });
  t.match(check(), { status: 'fail', message: /others on this machine can read it/, remedy: /chmod 600/ });
  chmodSync(`${path}.admin-token`, 0o600);
  t.match(check(), { status: 'ok', message: /kept in/ });
});

/** What the doctor learns from a workspace. */
async function ask(t: Test, given: { simulator?: SimulatorOptions; version?: string; fault?: Fault }) {
  const simulator = await startSimulator({ tokens: [token], ...given.simulator });
  t.teardown(() => simulator.close());
  if (given.fault) simulator.inject(given.fault);
  const intercom = { accessToken: token, region: 'us', apiUrl: simulator.url };
  return checkWorkspace({ intercom, version: given.version ?? '2.11', share: 1, leftOut: [], hosts: [] });
}

function ofKind(checks: Check[], status: Check['status']): Check[] {
  return checks.filter((check) => check.status === status);
}
