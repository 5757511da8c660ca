import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import t from 'tap';
import { type Database, openDatabase } from '../../src/queue/postgres/database.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import { migrations } from '../../src/queue/postgres/migrations.ts';
import { startPostgres } from '../postgres.ts';
import { until } from '../service.ts';

const server = await startPostgres();
t.teardown(() => server.close());

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

const versions = async (url: string) =>
  (await ask(url, 'SELECT version FROM schema_version ORDER BY 1')).map(({ version }) => version);
const steps = (list: string[], breaking: number[] = []) => ({ steps: { migrations: list, breaking } });

t.test('replicas that start at once bring an empty database to the newest schema, each migration once', async (t) => {
  const url = await server.newDatabase();
  const told: number[] = [];
  const applied = await Promise.all(
    Array.from({ length: 6 }, () => migrate(url, { onMigrated: (version) => told.push(version) })),
  );
  const all = migrations.map((_, index) => index + 1);
  t.same(
    applied.flat().sort((a, b) => a - b),
    all,
  );
  t.same(
    told.sort((a, b) => a - b),
    all,
  );
  t.same(await versions(url), all);
  t.same(await migrate(url), [], 'and then there is nothing to do');
});

t.test('a migration that fails leaves those before it, and nothing of its own', async (t) => {
  const url = await server.newDatabase();
  const list = ['CREATE TABLE a (n int)', 'CREATE TABLE b (n int); SELECT 1 / 0'];
  await t.rejects(migrate(url, steps(list)), /division by zero/);
  t.same(await versions(url), [1]);
  t.same(await ask(url, "SELECT to_regclass('a') IS NOT NULL AS a, to_regclass('b') IS NOT NULL AS b"), [
    { a: true, b: false },
  ]);
  t.same(await migrate(url, steps([list[0]!, 'CREATE TABLE b (n int)'])), [2], 'mended, it goes on from there');
});

t.test('an older release goes on beside a newer schema, unless a migration says that it must not', async (t) => {
  const url = await server.newDatabase();
  const list = [
    'CREATE TABLE a (n int)',
    'ALTER TABLE a ADD m int DEFAULT 0',
    'DROP TABLE a',
    'CREATE TABLE c (n int)',
  ];
  await migrate(url, steps(list.slice(0, 2)));
  t.same(await migrate(url, steps(list.slice(0, 1))), []);
  await migrate(url, steps(list, [3]));
  await t.rejects(migrate(url, steps(list.slice(0, 2))), /since version 3 older releases can't work with it/);
  t.same(await migrate(url, steps(list.slice(0, 3), [3])), []);
});

t.test('a table that is in use is waited for without shutting others out of it', async (t) => {
  const url = await server.newDatabase();
  await migrate(url, steps(['CREATE TABLE a (n int)']));
  const reader = new Client({ connectionString: url });
  await reader.connect();
  t.teardown(() => reader.end());
  await reader.query('BEGIN; SELECT * FROM a');
  const migrating = migrate(url, steps(['', 'ALTER TABLE a ADD m int']));
  const waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE a%'";
  await until('it waits', async () => (await ask(url, waiting)).length > 0);
  await until('it has given way', async () => (await ask(url, waiting)).length === 0);
  await reader.query('COMMIT');
  t.same(await migrating, [2]);
});

t.test('a user who may not make tables is told so, and may start where there is nothing to do', async (t) => {
  const url = await server.newDatabase();
  await ask(url, 'DROP ROLE IF EXISTS clerk').catch(() => {});
  await ask(url, 'CREATE ROLE clerk LOGIN; REVOKE CREATE ON SCHEMA public FROM PUBLIC');
  const clerk = new URL(url);
  clerk.username = 'clerk';
  await t.rejects(migrate(clerk.href), /may not change the schema.*GRANT CREATE ON SCHEMA/);
  await migrate(url);
  await ask(url, 'GRANT SELECT ON schema_version TO clerk');
  t.same(await migrate(clerk.href), []);
});

t.test('an old server, and an encoding that can not hold every event, are refused', async (t) => {
  const answering = (row: object): Database => ({
    query: () => Promise.resolve([row] as never[]),
    prepared: () => Promise.reject(new Error('nothing is asked often')),
    transaction: () => Promise.reject(new Error('nothing may be written')),
    close: () => Promise.resolve(),
  });
  const good = { version: 150_004, standby: false, encoding: 'UTF8' };
  await t.rejects(migrate(answering({ ...good, version: 140_011 })), /runs PostgreSQL 14, and 15 or newer is needed/);
  await t.rejects(migrate(answering({ ...good, encoding: 'LATIN1' })), /encoding is LATIN1/);
});

t.test('who can not be reached is waited for, but not one that does not let us in', async (t) => {
  const url = await server.newDatabase();
  const missing = new URL(url);
  missing.pathname = '/nobody_made_it';
  await t.rejects(migrate(missing.href, { patienceMs: 60_000 }), /"nobody_made_it" does not exist/);
  const elsewhere = new URL(url);
  elsewhere.port = '1';
  elsewhere.password = 'a-secret';
  const refused: unknown = await migrate(elsewhere.href).catch((error: unknown) => error);
  t.match(refused, /can't be reached/);
  t.notMatch(refused, /a-secret/);
  if (process.env.PG_TEST_URL) return;
  await server.stop('fast');
  const migrating = migrate(url, { patienceMs: 60_000 });
  await server.start();
  t.same(await migrating, await versions(url));
});

t.test('a standby is refused with what to do', { skip: process.env.PG_TEST_URL !== undefined }, async (t) => {
  const standby = await startPostgres();
  t.teardown(() => standby.close());
  const url = await standby.newDatabase();
  await standby.stop('fast');
  writeFileSync(join(standby.folder, 'standby.signal'), '');
  await standby.start();
  const db = openDatabase(url, { connections: 1 });
  t.teardown(() => db.close());
  await t.rejects(migrate(db), /is a standby.*DATABASE_URL name the primary/);
});
