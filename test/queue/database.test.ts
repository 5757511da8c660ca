import { createServer, connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { type Database, openDatabase } from '../../src/queue/postgres/database.ts';
import { startPostgres } from '../postgres.ts';

const server = await startPostgres();
t.teardown(() => server.close());

async function open(t: Test, url?: string): Promise<Database> {
  const db = openDatabase(url ?? (await server.newDatabase()), { connections: 1 });
  t.teardown(() => db.close());
  await db.query('SELECT 1');
  return db;
}

const sum = (db: Database, n: number) => db.prepared<{ n: number }>('SELECT 1 + $1::int AS n', [n]);

async function namedStatements(db: Database): Promise<number> {
  const [row] = await db.query<{ n: number }>('SELECT count(*) AS n FROM pg_prepared_statements');
  return row!.n;
}

t.test('what is asked often is prepared once, and planned for the tables as they are', async (t) => {
  const db = await open(t);
  for (const n of [1, 2, 3]) t.strictSame(await sum(db, n), [{ n: 1 + n }]);
  t.equal(await namedStatements(db), 1);
  await db.query('CREATE TABLE queue (id int PRIMARY KEY)');
  await db.query('ANALYZE queue');
  const find = 'SELECT queue.id FROM unnest($1::int[]) AS asked (id) JOIN queue USING (id)';
  for (let n = 0; n < 10; n += 1) await db.prepared(find, [[1, 2, 3]]);
  const [plans] = await db.query<{ generic: number; custom: number }>(
    'SELECT generic_plans AS generic, custom_plans AS custom FROM pg_prepared_statements WHERE statement = $1',
    [find],
  );
  t.strictSame(plans, { generic: 0, custom: 10 });
  t.strictSame(await db.query('SHOW plan_cache_mode'), [{ plan_cache_mode: 'auto' }], 'the session is as it was');
});

t.test(
  'a statement that the session has lost, or that returns something else by now, is asked all the same',
  async (t) => {
    const lost = await open(t);
    await sum(lost, 1);
    await lost.query('DEALLOCATE ALL');
    t.strictSame(await sum(lost, 2), [{ n: 3 }]);
    t.equal(await namedStatements(lost), 0, 'and nothing is prepared any more');

    const changed = await open(t);
    await changed.query('CREATE TABLE kept (a int)');
    t.strictSame(await changed.prepared('SELECT * FROM kept WHERE a = $1', [1]), []);
    await changed.query('ALTER TABLE kept ADD COLUMN b int');
    await changed.query('INSERT INTO kept VALUES (1, 2)');
    t.strictSame(await changed.prepared('SELECT * FROM kept WHERE a = $1', [1]), [{ a: 1, b: 2 }]);
  },
);

t.test('behind a pooler, where the next transaction may be in another session, nothing is prepared', async (t) => {
  const db = await open(t, await behindPooler(t, await server.newDatabase()));
  for (const n of [1, 2, 3]) t.strictSame(await sum(db, n), [{ n: 1 + n }]);
  t.equal(await namedStatements(db), 0);
});

t.test('a commit that goes out with the last statements fails with them', async (t) => {
  const db = await open(t);
  await db.query('CREATE TABLE one (id int PRIMARY KEY)');
  const insert = 'INSERT INTO one VALUES ($1)';
  const together = (ids: number[]) =>
    db.transaction((tx) => {
      const done = Promise.all(ids.map((id) => tx.query(insert, [id])));
      tx.commit();
      return done;
    });
  await together([1, 2]);
  await t.rejects(together([3, 1, 4]), { code: '23505' });
  const overlooked = db.transaction(async (tx) => {
    await tx.query(insert, [5]);
    await tx.query(insert, [1]).catch(() => {});
  });
  await t.rejects(overlooked, /rolled back/, 'a failure that nobody looked at is no success either');
  t.strictSame(await db.query('SELECT id FROM one ORDER BY id'), [{ id: 1 }, { id: 2 }]);
});

/** As a pooler does, it tells its clients a number that is no process of the server. */
async function behindPooler(t: Test, url: string): Promise<string> {
  const pooler = createServer((client) => {
    const upstream = connect(server.port, new URL(url).hostname);
    let greeting: Buffer | undefined = Buffer.alloc(0);
    upstream.on('data', (data) => {
      if (!greeting) {
        client.write(data);
        return;
      }
      greeting = Buffer.concat([greeting, data]);
      for (let at = 0; at + 5 <= greeting.length; at += 1 + greeting.readUInt32BE(at + 1)) {
        const type = String.fromCharCode(greeting[at]!);
        if (type === 'K' && at + 13 <= greeting.length) greeting.writeUInt32BE(1, at + 5);
        if (type !== 'Z') continue;
        client.write(greeting);
        greeting = undefined;
        break;
      }
    });
    client.pipe(upstream);
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => other.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(pooler, 'listening');
  t.teardown(() => pooler.close());
  const target = new URL(url);
  target.port = String((pooler.address() as AddressInfo).port);
  return target.href;
}
