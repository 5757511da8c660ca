import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Client } from 'pg';
import t, { type Test } from 'tap';
import { move } from '../../src/queue/move/move.ts';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { openPostgresQueue } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import type { NewEvent, Queue } from '../../src/queue/queue.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import { startPostgres } from '../postgres.ts';
import { temporaryFolder, until } from '../service.ts';
import { newEvent } from './new-events.ts';

const server = await startPostgres();
t.teardown(() => server.close());

type Person = Partial<
  Pick<NewEvent, 'userId' | 'email' | 'anonymousId' | 'consent' | 'installation' | 'filtered' | 'trace'>
>;
const of = (person: Person, messageId: string): NewEvent => ({
  ...newEvent('', messageId),
  userId: null,
  receivedAtMs: Date.now(),
  atMs: Date.now(),
  ...person,
});
const tried = (intercomStatus: number) => ({ intercomStatus, calls: 1, ms: 3, exchange: '{"calls":[],"warnings":[]}' });
const withheld = { functional: true, marketing: false };
const sealed = JSON.stringify({ name: 'Intercom EU', sealedToken: 'v1.0000.abc.def' });
const audit = { action: 'a', resource: 'r', changes: '{}', ipAddress: '::1', userAgent: 'curl', atMs: 5 };

/** A queue that has lived: something in every table. */
async function fill(t: Test): Promise<{ path: string; ids: Map<string, string> }> {
  const path = join(temporaryFolder(t), 'queue.db');
  const queue = await openSqliteQueue({ path, holdAnonymous: true });
  const ids = new Map<string, string>();
  async function keep(...events: NewEvent[]): Promise<void> {
    const receipts = await queue.enqueue(events);
    receipts.forEach(({ id }, index) => ids.set(events[index]!.messageId, id));
  }
  await queue.keepInstallation('int_1', sealed, audit);
  await keep(of({ userId: 'ada' }, 'delivered'), of({ userId: 'bob' }, 'dead'), of({ userId: 'cy' }, 'retried'));
  for (const lease of await queue.lease({ installation: 'default', people: 9, jobsEach: 9 })) {
    const { id } = lease.jobs[0]!;
    if (lease.person === 'user:ada')
      await queue.settle(lease, {
        done: [{ id, status: 'delivered', reason: null, attempt: tried(202) }],
        record: '{"id":"ada"}',
        shared: [{ key: 'company:1', record: '{}' }],
      });
    if (lease.person === 'user:bob')
      await queue.settle(lease, { done: [{ id, status: 'dead', reason: 'bug', attempt: tried(422) }] });
    if (lease.person === 'user:cy') {
      await queue.settle(lease, { done: [], chosen: [{ id, createdAtSeconds: 1234 }] });
      await queue.release(lease, {
        id,
        afterMs: 3_600_000,
        countAttempt: true,
        reason: 'timeout',
        attempt: tried(500),
      });
    } else await queue.release(lease);
  }
  await keep(
    of({ email: 'dee@x.io', consent: withheld }, 'as a lead'),
    of({ anonymousId: 'd1' }, 'held, then known'),
    of({ anonymousId: 'd2' }, 'held'),
    of({ email: 'dee@x.io', anonymousId: 'd1' }, 'device of a lead'),
    of({ userId: 'dee', email: 'dee@x.io' }, 'lead becomes a user'),
    of({ userId: 'eve', filtered: 'consent_functional' }, 'filtered'),
    of({ userId: 'fay', installation: 'int_1', trace: '00-aa-bb-01' }, 'of another workspace'),
    of({ userId: 'zoë "\\ \u0001\u2028 😀', email: 'gus@x.io' }, 'odd \u{1F600} name'),
  );
  await queue.erase('default', 'user:gone');
  await queue.close();
  const db = new DatabaseSync(path);
  const day = Math.floor(Date.now() / 86_400_000) - 1;
  db.exec(`CREATE TABLE seen_day_${day} (print BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID`);
  db.exec(`INSERT INTO seen_day_${day} SELECT print, seq FROM seen_recent WHERE seq = 1`);
  db.exec('DELETE FROM seen_recent WHERE seq = 1');
  db.close();
  return { path, ids };
}

async function rows(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const result = await client.query(sql);
  await client.end();
  return result.rows;
}

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** What a queue tells of itself, in the same words whatever the engine. */
async function tell(queue: Queue, ids: Iterable<string>) {
  const people = ['user:ada', 'user:dee', 'email:dee@x.io', 'anon:d1', 'anon:d2', 'email:gus@x.io'];
  return {
    details: await Promise.all([...ids].map((id) => queue.detail(id))),
    people: await Promise.all(
      people.map(async (key) => {
        const { aliases, joined, ...person } = await queue.person('default', key);
        return { ...person, aliases: aliases.toSorted(), joined: joined.toSorted() };
      }),
    ),
    stats: await queue.stats(),
    installations: await queue.installations(),
    audit: await queue.audit({ limit: 9, before: null }),
    company: await queue.record('default', 'company:1'),
  };
}

t.test('a queue that has lived is the same in PostgreSQL, and goes on there', async (t) => {
  const { path, ids } = await fill(t);
  const url = await server.newDatabase();
  const before = digest(path);
  const moved = await move({ from: path, to: url });
  t.equal(digest(path), before, 'the file is as it was');
  t.match(
    new Map(moved.map(({ table, rows: n }) => [table, n])),
    new Map([
      ['event', 12],
      ['job', 9],
      ['seen', 11],
    ]),
  );
  for (const { table, rows: n } of moved) t.ok(n > 0, `${table} has rows`);

  const source = await openSqliteQueue({ path, holdAnonymous: true });
  const told = await tell(source, ids.values());
  await source.close();
  const queue = await openPostgresQueue({ url, connections: 4, holdAnonymous: true });
  t.teardown(() => queue.close());
  t.same(await tell(queue, ids.values()), told);

  t.match(await queue.enqueue([of({ userId: 'ada' }, 'delivered'), of({ userId: 'cy' }, 'retried')]), [
    { duplicate: true, id: ids.get('delivered'), original: { status: 'delivered' } },
    { duplicate: true, id: ids.get('retried'), original: { status: 'queued' } },
  ]);
  const [next] = await queue.enqueue([of({ userId: 'new' }, 'new')]);
  t.ok(next!.id > [...ids.values()].toSorted().at(-1)!, 'numbers go on above those that were given');
  const leases = await queue.lease({ installation: 'default', people: 9, jobsEach: 9 });
  t.same(
    leases
      .map(({ person, jobs }) => [person, jobs.length])
      .filter(([person]) => !String(person).startsWith('erasure:')),
    [
      ['user:dee', 4],
      ['user:zoë "\\ \u0001\u2028 😀', 1],
      ['user:new', 1],
    ],
    'in the order in which they came; who waits for a retry or a login is left',
  );
  t.match(leases[0], { consent: withheld, jobs: [{ id: ids.get('as a lead') }, { wasHeld: true }, {}, {}] });
  t.match(await queue.lease({ installation: 'int_1', people: 9, jobsEach: 9 }), [
    { person: 'user:fay', jobs: [{ trace: '00-aa-bb-01' }] },
  ]);
  t.match(await rows(url, "SELECT * FROM job JOIN lane USING (person) WHERE person = 'default/user:cy'"), [
    { attempts: 1, created_at: '1234' },
  ]);
  t.equal(await queue.redrive([ids.get('dead')!]), 1);
  await queue.keepAudit(audit);
  t.match(await queue.audit({ limit: 9, before: null }), { entries: [{ id: '2' }, { id: '1' }] });
});

t.test('who comes with the key of somebody whose erasure is under way waits there as well', async (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  const source = await openSqliteQueue({ path });
  await source.enqueue([of({ userId: 'ada', email: 'ada@x.io' }, 'm1')]);
  await source.erase('default', 'user:ada');
  await source.enqueue([of({ userId: 'ada' }, 'm2')]);
  await source.close();
  const url = await server.newDatabase();
  await move({ from: path, to: url });
  const queue = await openPostgresQueue({ url, connections: 4 });
  t.teardown(() => queue.close());
  await queue.enqueue([of({ email: 'ada@x.io' }, 'm3')]);
  const all = { installation: 'default', people: 9, jobsEach: 9 };
  const [lease, ...others] = await queue.lease(all);
  t.match(lease, { person: /^erasure:/, erasure: { userId: 'ada', emails: ['ada@x.io'] } });
  t.same(others, []);
  const { id } = lease!.jobs[0]!;
  await queue.settle(lease!, { done: [{ id, status: 'delivered', reason: null, attempt: tried(200) }] });
  await queue.release(lease!);
  await until('both may go on', async () => (await queue.lease(all)).length > 0);
});

t.test('a file in use, a target that is not empty, and a target in use are refused', async (t) => {
  const { path } = await fill(t);
  const url = await server.newDatabase();
  const source = await openSqliteQueue({ path });
  await t.rejects(move({ from: path, to: url }), /in use by another process/);
  await source.close();
  await t.rejects(move({ from: `${path}.not`, to: url }), /does not exist/);
  await migrate(url);
  const replica = await openPostgresQueue({ url, connections: 2 });
  await replica.stats(); // it connects when it is asked
  await t.rejects(move({ from: path, to: url }), /replicas are connected.*stop them first/);
  await replica.enqueue([of({ userId: 'u' }, 'm')]);
  await replica.close();
  await t.rejects(move({ from: path, to: url }), /target is not empty \(table event\)/);
});

t.test("replicas whose connections are a pooler's are known by their heartbeat", async (t) => {
  const { path } = await fill(t);
  const url = await server.newDatabase();
  await migrate(url);
  const db = openDatabase(url, { connections: 1 });
  t.teardown(() => db.close());
  await db.query(
    `INSERT INTO replica (id, started_at, seen_at, version, roles, host, watched_until, installations, calls_per_second,
       drained_per_second)
     SELECT gen_random_uuid(), 0, (extract(epoch FROM now()) * 1000)::bigint + 60000, '1', '{}', 'x', 0, '', 0, 0`,
  );
  await t.rejects(move({ from: path, to: url }), /replicas are connected.*stop them first/);
});

t.test('a move that is interrupted leaves nothing, and can be done again', async (t) => {
  const { path } = await fill(t);
  const url = await server.newDatabase();
  const interrupt = ({ table }: { table: string }): void => {
    if (table === 'audit') throw new Error('interrupted');
  };
  await t.rejects(move({ from: path, to: url, onTable: interrupt }), /interrupted/);
  t.match(await rows(url, 'SELECT (SELECT count(*) FROM event) AS event, (SELECT count(*) FROM seen) AS seen'), [
    { event: '0', seen: '0' },
  ]);
  t.ok((await move({ from: path, to: url })).length > 0);
});

t.test('a row that arrives as another than it left is noticed, and nothing is moved', async (t) => {
  const { path } = await fill(t);
  const url = await server.newDatabase();
  await move({ from: path, to: url }).then(() =>
    rows(
      url,
      'TRUNCATE event, job, settled, attempt, contact, alias, joined, consent, seen, erasure, installation, audit, total, lane',
    ),
  );
  await rows(
    url,
    `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.payload := NEW.payload || ' '; RETURN NEW; END $$`,
  );
  await rows(
    url,
    'CREATE TRIGGER spoil BEFORE INSERT ON event FOR EACH ROW WHEN (NEW.seq = 3) EXECUTE FUNCTION spoil()',
  );
  await t.rejects(move({ from: path, to: url }), /event does not have in PostgreSQL what it has in the file/);
  t.match(await rows(url, 'SELECT count(*) AS n FROM event'), [{ n: '0' }]);
});

t.test('the command moves, prints what it moved, and says what is to be set; it tells no password', async (t) => {
  const { path } = await fill(t);
  const url = (await server.newDatabase()).replace('postgres@', 'postgres:a-secret@');
  const run = (args: string[], DATABASE_URL: string) => {
    const env = { PATH: process.env.PATH, DATABASE_URL };
    const { status, stdout, stderr } = spawnSync(process.execPath, ['src/migrate.ts', ...args], {
      env,
      encoding: 'utf8',
    });
    return { status, output: stdout + stderr };
  };
  t.match(run([], url), { status: 0, output: /is at version \d+ of the schema now/ });
  t.match(run([], url), { status: 0, output: /is up to date/ });
  const moved = run(['--from', `file:${path}`], url);
  t.match(moved, { status: 0, output: /event +12 +[0-9a-f]+\n[^]*\d+ rows in .*checksums are the same/ });
  t.match(moved.output, /ENCRYPTION_KEY: the same as until now/);
  const again = run(['--from', `file:${path}`, '--to', url], '');
  t.match(again, { status: 1, output: /target is not empty/ });
  t.match(run([], `file:${path}`), { status: 1, output: /names no PostgreSQL database/ });
  t.match(run(['--form', 'x'], url), { status: 1, output: /--form[^]*--from file:/ });
  t.match(run([], ''), { status: 1, output: /DATABASE_URL must be file:/ });
  t.notMatch(moved.output + again.output, /a-secret/);
});
