import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { type Service, startService, temporaryFolder, until } from './service.ts';

const adminToken = 'admin-token-of-the-test';
const env = { ADMIN_TOKEN: adminToken, INGEST_WAIT_MS: '0' };
const pageBytes = 4096;

type Ledger = Record<'accepted' | 'delivered' | 'filtered' | 'dead' | 'queued', number>;

/** A database with delivered and queued events, at rest. */
async function fill(t: Test): Promise<Filled> {
  const service = await startService(t, { env });
  const { databasePath, simulator } = service;
  const batch = (name: string, count: number) =>
    Array.from({ length: count }, (_, n) => ({
      type: 'track',
      event: name,
      userId: `u-${n % 50}`,
      messageId: `${name}-${n}`,
      properties: { text: 'x'.repeat(300) },
    }));
  await service.post(batch('first', 100));
  await until('all are delivered', async () => (await ledgerOf(service)).delivered === 100, 60_000);
  await manage(service, 'POST', '/v1/admin/integrations/default/pause');
  await service.post(batch('second', 900));
  const ledger = await ledgerOf(service);
  await service.stop();
  return { databasePath, ledger, simulator };
}

type Filled = { databasePath: string; ledger: Ledger; simulator: Service['simulator'] };

/** A copy to be spoilt: a database at rest is one file. */
function copyOf(t: Test, { databasePath }: Filled): string {
  const path = join(temporaryFolder(t), 'queue.db');
  copyFileSync(databasePath, path);
  return path;
}

const manage = async ({ url }: Service, method: 'GET' | 'POST', path: string) => {
  const { statusCode, body } = await request(url + path, {
    method,
    headers: { authorization: `Bearer ${adminToken}` },
  });
  return { statusCode, body: (await body.json()) as { data: { reason: string }[] } };
};

async function ledgerOf({ get }: Service): Promise<Ledger> {
  const { text } = await get('/metrics');
  const read = (name: string) => Number(new RegExp(`^signal_intercom_${name} (\\d+)$`, 'm').exec(text)?.[1]);
  const state = (name: string) => read(`ledger_events\\{state="${name}"\\}`);
  return {
    accepted: read('accepted_events_total'),
    delivered: state('delivered'),
    filtered: state('filtered'),
    dead: state('dead'),
    queued: state('queued'),
  };
}

/** Writes rubbish over pages, and shows that SQLite itself finds them damaged. */
function damage(t: Test, path: string, pages: number[]): void {
  const file = openSync(path, 'r+');
  for (const page of pages) writeSync(file, Buffer.alloc(pageBytes, 0xa5), 0, pageBytes, (page - 1) * pageBytes);
  closeSync(file);
  let found: unknown;
  try {
    const db = new DatabaseSync(path, { readOnly: true });
    found = db.prepare('PRAGMA quick_check(1)').get()?.quick_check;
    db.close();
  } catch (error) {
    found = error;
  }
  t.not(found, 'ok', 'the control: the file is damaged');
}

/** Leaf pages of a table, by SQLite's own account. */
function leavesOf(path: string, table: string): number[] {
  const db = new DatabaseSync(path, { readOnly: true });
  const rows = db.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path").all(table);
  db.close();
  return rows.map(({ pageno }) => Number(pageno));
}

const asideOf = (path: string): string[] =>
  readdirSync(dirname(path)).filter((name) => name.startsWith(`${basename(path)}.corrupt-`));

t.test('damaged pages: the file is moved aside, what can be read goes on, and the ledger balances', async (t) => {
  const filled = await fill(t);
  const { ledger: before, simulator } = filled;
  for (const table of ['event', 'job', 'settled', 'seen_recent', 'contact', 'attempt', 'total']) {
    t.test(`in the table ${table}`, async (t) => {
      const databasePath = copyOf(t, filled);
      const leaves = leavesOf(databasePath, table);
      t.ok(leaves.length > 0);
      damage(t, databasePath, [leaves[Math.floor(leaves.length / 2)]!]);
      const bytes = readFileSync(databasePath);

      const service = await startService(t, { env, simulator, databasePath });
      const line = service.logs.find((text) => text.includes('queue.salvaged'));
      t.ok(line, 'it is said');
      const told = JSON.parse(line ?? '{}') as Record<string, number | string>;
      t.equal(told.level, 50, 'as an error');
      const [aside] = asideOf(databasePath);
      t.equal(told.movedTo, join(dirname(databasePath), aside ?? ''));
      t.ok(readFileSync(String(told.movedTo)).equals(bytes), 'the damaged file is as it was');

      const after = await ledgerOf(service);
      t.equal(after.delivered + after.filtered + after.dead + after.queued, after.accepted, 'the ledger balances');
      t.ok(after.queued + Number(told.lost) + Number(told.uncertain) >= before.queued, 'what is missing is told');
      t.ok(after.queued > before.queued * 0.5, `${after.queued} of ${before.queued} are still queued`);
      const dead = await manage(service, 'GET', '/events?status=dead&limit=100');
      for (const { reason } of dead.body.data) t.equal(reason, 'database_damaged');

      const repeat = await service.post({ type: 'track', event: 'second', userId: 'u-0', messageId: 'second-0' });
      if (table !== 'event') t.equal(repeat.body.events[0]?.status, 'duplicate', 'messages are known');
      const fresh = await service.post({ type: 'track', event: 'fresh', userId: 'u-0' });
      t.equal(fresh.body.events[0]?.status, 'queued');
      await manage(service, 'POST', '/v1/admin/integrations/default/resume');
      const sent = simulator.count('POST /events');
      await until('delivery goes on', () => simulator.count('POST /events') > sent, 60_000);
      await service.stop();
    });
  }
});

t.test('a file that is no database at all is moved aside, and a new one begun', async (t) => {
  const filled = await fill(t);
  for (const [name, spoil] of [
    ['text', (path: string) => writeFileSync(path, 'not a database, but long enough to be taken for one'.repeat(200))],
    ['a first page of rubbish', (path: string) => damage(t, path, [1])],
  ] as const) {
    const databasePath = copyOf(t, filled);
    spoil(databasePath);
    const service = await startService(t, { env, simulator: filled.simulator, databasePath });
    t.equal(asideOf(databasePath).filter((file) => !/-(wal|shm)$/.test(file)).length, 1, name);
    t.ok(service.logs.some((line) => line.includes('queue.salvaged')));
    t.equal((await service.post({ type: 'track', event: 'A', userId: 'u' })).status, 202);
  }
});

t.test('damage that is met at work stops the writing, is mended, and work goes on', async (t) => {
  const { databasePath, simulator } = await fill(t);
  const service = await startService(t, { env, simulator, databasePath });
  t.strictSame(asideOf(databasePath), [], 'it is sound at the start');
  // Beyond the pages that are in memory by now: contacts, read for a lease.
  damage(t, databasePath, [...leavesOf(databasePath, 'contact'), ...leavesOf(databasePath, 'event')]);
  await manage(service, 'POST', '/v1/admin/integrations/default/resume');
  await manage(service, 'GET', '/events?text=nowhere-to-be-found');
  await until('it is mended', () => asideOf(databasePath).length > 0, 30_000);
  await until('it stores again', async () => (await service.get('/readyz?only=store')).status === 200);
  await until(
    'an event is taken',
    async () => (await service.post({ type: 'track', event: 'B', userId: 'u' })).status === 202,
  );
  const after = await ledgerOf(service);
  t.equal(after.delivered + after.filtered + after.dead + after.queued, after.accepted);
});

const readOnly = { skip: existsSync('/sys/kernel') ? false : 'no read-only file system is at hand' };

t.test('a folder that can not be written is refused in plain words', readOnly, async (t) => {
  const opened = openSqliteQueue({ path: '/sys/kernel/queue.db' });
  await t.rejects(opened, /queue\.db can't be written: its folder is read-only/);
});
