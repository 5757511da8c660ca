import { setTimeout as delay } from 'node:timers/promises';
import { QueueUnavailable } from '../queue.ts';
import { type Database, openDatabase, type Transaction } from './database.ts';
import { nowMs } from './lanes.ts';
import { breaking, migrations } from './migrations.ts';

/**
 * Brings a database to the schema of this version, a migration and a transaction at a time. Any number of replicas may
 * start at once: the one that has the lock migrates, the others wait and find it done. The lock ends with its
 * transaction, which is what PgBouncer can do as well.
 *
 * A schema that is newer than this version is worked with, since replicas are replaced one by one, unless a migration
 * that is not known here says that who does not know it must not go on (`breaking`).
 */
export type MigrateOptions = {
  /** How long to wait for a server that can't be reached yet. */
  patienceMs?: number;
  onMigrated?(version: number): void;
  /** Others than this version's, for tests. */
  steps?: { migrations: readonly string[]; breaking: readonly number[] };
};

/** The database can't be used as it is; the message says what to do. */
export class MigrationRefused extends Error {}

type Standing = { version: number; breaking: number };

const oldestServer = 15;
const lockKey = 5_413_902_771;
/** Another replica may be at work on a migration of many rows. */
const limitMs = 30 * 60_000;
/** A change of a table that waits for a long query lets nobody else at the table meanwhile. */
const tableLockMs = 3000;
const tableLockTries = 100;
const tryAgainAfterMs = 1000;

/** The versions that this call has brought the database to: none, where it was up to date. */
export async function migrate(target: Database | string, options: MigrateOptions = {}): Promise<number[]> {
  const db = typeof target === 'string' ? openDatabase(target, { connections: 1 }) : target;
  const steps = options.steps ?? { migrations, breaking };
  const applied: number[] = [];
  try {
    await requireServer(db, options.patienceMs ?? 0);
    for (;;) {
      // Without the lock, and without the right to change the schema, as long as there is nothing to do.
      const standing = requireKnown(await readStanding(db), steps.migrations.length);
      if (standing.version >= steps.migrations.length) return applied;
      const version = await applyNext(db, steps);
      if (version === null) continue;
      applied.push(version);
      options.onMigrated?.(version);
    }
  } finally {
    if (typeof target === 'string') await db.close();
  }
}

/** The version of the database's schema, and the newest that is known here. */
export async function schemaVersion(db: Database): Promise<{ version: number; known: number }> {
  const { version } = requireKnown(await readStanding(db), migrations.length);
  return { version, known: migrations.length };
}

/** Refuses what no migration can mend. */
export async function requireServer(db: Database, patienceMs: number): Promise<Server> {
  const server = await whenReachable(db, patienceMs);
  const { version, standby, encoding } = server;
  if (version < oldestServer * 10_000)
    throw new MigrationRefused(
      `the server runs PostgreSQL ${Math.floor(version / 10_000)}, and ${oldestServer} or newer is needed: upgrade it`,
    );
  if (standby)
    throw new MigrationRefused(
      'the server is a standby, which takes no writes: let DATABASE_URL name the primary (of a managed database its writer endpoint), or promote this one if the primary is gone for good',
    );
  if (encoding !== 'UTF8')
    throw new MigrationRefused(
      `the database's encoding is ${encoding}, which can't hold every event: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`,
    );
  return server;
}

type Server = { version: number; standby: boolean; encoding: string };

async function whenReachable(db: Database, patienceMs: number): Promise<Server> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    try {
      const [server] = await db.query<Server>(
        `SELECT current_setting('server_version_num')::int AS version, pg_is_in_recovery() AS standby,
           getdatabaseencoding()::text AS encoding`,
      );
      return server!;
    } catch (error) {
      if (!(error instanceof QueueUnavailable) || isRefusal(error) || performance.now() > deadline) throw error;
      await delay(tryAgainAfterMs);
    }
  }
}

/** The server is there, and does not let us in: waiting mends nothing. */
const isRefusal = ({ message }: Error): boolean =>
  /authentication|does not exist|pg_hba\.conf|permission/.test(message);

async function readStanding(db: Pick<Database, 'query'>): Promise<Standing> {
  const [table] = await db.query<{ made: boolean }>("SELECT to_regclass('schema_version') IS NOT NULL AS made");
  if (!table?.made) return { version: 0, breaking: 0 };
  const [standing] = await db.query<Standing>(
    `SELECT coalesce(max(version), 0) AS version, coalesce(max(version) FILTER (WHERE breaking), 0) AS breaking
     FROM schema_version`,
  );
  return standing!;
}

function requireKnown(standing: Standing, known: number): Standing {
  if (standing.breaking > known)
    throw new MigrationRefused(
      `the database is at version ${standing.version} of the schema, and this release knows ${known} of them; since version ${standing.breaking} older releases can't work with it: start the release that made it, or a newer one`,
    );
  return standing;
}

/** The version that was reached; null where another replica was faster, or the tables were in use for too long. */
async function applyNext(db: Database, steps: NonNullable<MigrateOptions['steps']>): Promise<number | null> {
  for (let tried = 1; ; tried += 1) {
    try {
      return await db.transaction((tx) => applyWithin(tx, steps), { limitMs });
    } catch (error) {
      if (!isLockTimeout(error)) throw explained(error);
      if (tried === tableLockTries) throw new MigrationRefused(tablesInUse);
      await delay(tryAgainAfterMs);
    }
  }
}

async function applyWithin(tx: Transaction, steps: NonNullable<MigrateOptions['steps']>): Promise<number | null> {
  await tx.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED'); // what another has migrated meanwhile is seen
  await tx.query("SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true)");
  await tx.query('SELECT pg_advisory_xact_lock($1)', [lockKey]);
  await tx.query(
    'CREATE TABLE IF NOT EXISTS schema_version (version int PRIMARY KEY, applied_at bigint NOT NULL, breaking boolean NOT NULL)',
  );
  const { version } = requireKnown(await readStanding(tx), steps.migrations.length);
  const sql = steps.migrations[version];
  if (sql === undefined) return null;
  await tx.query("SELECT set_config('lock_timeout', $1, true)", [`${tableLockMs}ms`]);
  await tx.query(sql);
  const next = version + 1;
  await tx.query(`INSERT INTO schema_version VALUES ($1, ${nowMs}, $2)`, [next, steps.breaking.includes(next)]);
  return next;
}

const tablesInUse =
  'the tables are in use without a pause, so that they can not be changed: end long queries and dumps (pg_stat_activity), then start again';

/** SQLSTATE 55P03: lock_not_available. */
const isLockTimeout = (error: unknown): boolean => codeOf(error) === '55P03';

/** SQLSTATE 42501: insufficient_privilege. */
function explained(error: unknown): unknown {
  if (codeOf(error) !== '42501' || !(error instanceof Error)) return error;
  return new MigrationRefused(
    `the database's user may not change the schema (${error.message}): GRANT CREATE ON SCHEMA public, or run migrate once as a user who may`,
  );
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
