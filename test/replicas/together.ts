import type { Test } from 'tap';
import { type Database, openDatabase } from '../../src/queue/postgres/database.ts';
import { migrations } from '../../src/queue/postgres/migrations.ts';
import { openReplicas, type Replicas, type ReplicasOptions } from '../../src/replicas/replicas.ts';
import { type PostgresServer, startPostgres } from '../postgres.ts';

/** Replicas of one database, each with connections of its own, as so many processes have them. */
export type Together = {
  db: Database;
  open(options?: Partial<ReplicasOptions>): Promise<Replicas>;
  /** Ends a replica as a crash does: nothing is said, and nothing comes from it any more. */
  crash(replica: Replicas): Promise<void>;
};

let server: Promise<PostgresServer> | undefined;

/** One server for all tests of a file. */
export async function openTogether(t: Test): Promise<Together> {
  server ??= startPostgres();
  const url = await (await server).newDatabase();
  const db = openDatabase(url, { connections: 2 });
  for (const migration of migrations) await db.query(migration);
  const opened = new Map<Replicas, { dead: boolean; db: Database }>();

  t.teardown(async () => {
    for (const replica of opened.keys()) await replica.close();
    for (const { db: own } of opened.values()) await own.close();
    await db.close();
  });

  return {
    db,
    async open(options = {}) {
      const own = openDatabase(url, { connections: 2 });
      const life = { dead: false, db: own };
      const never = new Promise<never>(() => {});
      const mortal: Database = {
        query: (...args) => (life.dead ? Promise.resolve([]) : own.query(...args)),
        prepared: (...args) => (life.dead ? never : own.prepared(...args)),
        transaction: (...args) => (life.dead ? never : own.transaction(...args)),
        close: async () => {},
      };
      const replica = await openReplicas({
        db: mortal,
        version: '1.2.3',
        roles: ['all'],
        host: 'h',
        onError: (error) => {
          if (!life.dead) t.fail(String(error));
        },
        ...options,
      });
      opened.set(replica, life);
      return replica;
    },
    async crash(replica) {
      opened.get(replica)!.dead = true;
    },
  };
}

export async function closeServer(): Promise<void> {
  await (await server)?.close();
}
