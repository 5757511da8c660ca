import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { openDatabase as openPostgres } from '../../src/queue/postgres/database.ts';
import { openPostgresQueue } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import { createStats } from '../../src/queue/postgres/stats.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { type Database, openDatabase } from '../../src/queue/sqlite/database.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import { openStore } from '../../src/queue/sqlite/store.ts';
import type { PostgresServer } from '../postgres.ts';
import { until } from '../service.ts';

/**
 * The queue under test, in three shapes: the whole SQLite engine with its writer thread and group commits; its store
 * alone, which is many times faster, has a clock of its own and a disk that fails when told to; and the PostgreSQL
 * engine.
 *
 * With SQLite, a crash is a copy of the database file and its log, opened in their stead: a process that is killed leaves the
 * bytes that it has written and nothing else, and SQLite knows a database by these two files. (The third, `-shm`, is
 * only an index, which the first to open makes anew.)
 */
export type Subject = {
  /** Writes handed over at once, which so may share a transaction; undefined when nothing of them was kept. */
  write(calls: Call[]): Promise<unknown[] | undefined>;
  /** A lease is a read, too: it is kept in memory alone. */
  read<T>(call: (ops: Ops) => Promise<T>): Promise<T>;
  nowMs(): number;
  pass(ms: number): void;
  /** The next transaction fails at its commit. */
  failNextCommit(): void;
  crash(): Promise<void>;
  reopen(): Promise<void>;
  close(): Promise<void>;
};

export type Ops = Pick<
  Queue,
  'enqueue' | 'lease' | 'settle' | 'release' | 'redrive' | 'record' | 'states' | 'detail' | 'stats'
>;
export type Call = (ops: Ops) => Promise<unknown>;
export type OpenSubject = (folder: string, options: { holdAnonymous: boolean }) => Promise<Subject>;

const retention = { settledMs: Infinity, deadMs: Infinity, heldMs: Infinity };

export const openEngineSubject: OpenSubject = async (folder, { holdAnonymous }) => {
  const life = createLives(folder);
  const open = (): Promise<Queue> => openSqliteQueue({ path: life.path(), holdAnonymous });
  let queue = await open();
  return {
    write: (calls) => Promise.all(calls.map((call) => call(patient(queue)))),
    read: (call) => call(queue),
    nowMs: Date.now,
    pass: () => {},
    failNextCommit: () => {},
    async crash() {
      life.copy();
      const old = queue;
      queue = await open();
      await old.close();
    },
    async reopen() {
      await queue.close();
      queue = await open();
    },
    close: () => queue.close(),
  };
};

/** Whether a short wait is over is not to be a matter of luck: it is waited for. A long one never is. */
function patient(queue: Queue): Ops {
  return {
    ...queue,
    async release(lease, retry) {
      await queue.release(lease, retry);
      if (retry && retry.afterMs > 0 && retry.afterMs < 10) await setTimeout(retry.afterMs + 2);
    },
  };
}

/**
 * A crash is a replica that falls silent: its leases run out, another one takes them over, and what the first one
 * does afterwards comes too late.
 */
export const openPostgresSubject =
  (server: PostgresServer): OpenSubject =>
  async (_folder, { holdAnonymous }) => {
    const url = await server.newDatabase();
    await migrate(url);
    const db = openPostgres(url, { connections: 1 });
    // A count that took long holds for a while, and on a busy machine any may: each is made anew.
    const open = async (): Promise<Queue> => ({
      ...(await openPostgresQueue({ url, connections: 4, holdAnonymous })),
      stats: (installation) => createStats(db)(installation),
    });
    let queue = await open();
    return {
      // One after the other: what is asked of several transactions at once has no order that the model could know.
      async write(calls) {
        const results: unknown[] = [];
        for (const call of calls) results.push(await call(patient(queue)));
        return results;
      },
      read: (call) => call(queue),
      nowMs: Date.now,
      pass: () => {},
      failNextCommit: () => {},
      async crash() {
        const old = queue;
        queue = await open();
        await db.query('UPDATE lane SET due_at = 0 WHERE token IS NOT NULL');
        await until('the leases are taken over', async () => {
          const left = await db.query('SELECT 1 FROM lane WHERE token IS NOT NULL');
          return left.length === 0;
        });
        await old.close();
      },
      async reopen() {
        await queue.close();
        queue = await open();
      },
      async close() {
        await queue.close();
        await db.close();
      },
    };
  };

export const openStoreSubject: OpenSubject = async (folder, { holdAnonymous }) => {
  const life = createLives(folder);
  let nowMs = 1_800_000_000_000;
  let isFailing = false;
  let file: Database;
  let store: ReturnType<typeof openStore>;

  function open(): void {
    file = openDatabase(life.path());
    file.exec('PRAGMA synchronous = OFF'); // of no account here, and slow
    const db: Database = {
      ...file,
      prepare: (sql) => file.prepare(sql),
      close: () => file.close(),
      exec(sql) {
        if (sql === 'COMMIT' && isFailing) {
          isFailing = false;
          throw new DiskFull('the disk is full');
        }
        file.exec(sql);
      },
    };
    store = openStore(db, { holdAnonymous, retention }, { steadyMs: () => nowMs, wallMs: () => nowMs });
  }

  const ops: Ops = {
    enqueue: async (events) => store.enqueue(events),
    lease: async (limits) => store.lease(limits),
    settle: async (lease, progress) => store.settle(lease.token, progress, nowMs),
    release: async (lease, retry) => store.release(lease.token, retry, nowMs),
    redrive: async (ids) => store.redrive(ids),
    record: async (installation, key) => store.record(`${installation}/${key}`),
    states: async (ids) => new Map(store.states(ids)),
    detail: async (id) => store.detail(id),
    stats: async (installation) => store.stats(installation ?? null),
  };

  async function transact(calls: Call[]): Promise<unknown[]> {
    const results: unknown[] = [];
    store.begin();
    try {
      for (const call of calls) results.push(await call(ops));
      store.commit();
    } catch (error) {
      store.rollback();
      isFailing = false;
      throw error;
    }
    return results;
  }

  open();
  return {
    async write(calls) {
      try {
        return await transact(calls);
      } catch (error) {
        if (error instanceof DiskFull) return undefined;
        if (calls.length === 1) throw error;
      }
      // As the writer thread does it: one op that fails must not take the others with it.
      const results: unknown[] = [];
      for (const call of calls) results.push(...(await transact([call])));
      return results;
    },
    read: (call) => call(ops),
    nowMs: () => nowMs,
    pass: (ms) => void (nowMs += ms),
    failNextCommit: () => void (isFailing = true),
    async crash() {
      store.begin();
      file.exec('DELETE FROM job'); // in the middle of a transaction
      life.copy();
      file.close();
      open();
    },
    async reopen() {
      file.close();
      open();
    },
    close: async () => file.close(),
  };
};

class DiskFull extends Error {}

function createLives(folder: string) {
  let life = 0;
  const path = (): string => join(folder, `life-${life}.db`);
  return {
    path,
    copy(): void {
      const before = path();
      life += 1;
      for (const end of ['', '-wal']) if (existsSync(before + end)) copyFileSync(before + end, path() + end);
    },
  };
}
