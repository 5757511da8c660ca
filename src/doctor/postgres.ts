import { type DatabaseSettings, describeDatabase } from '../config/database.ts';
import { type Database, openDatabase } from '../queue/postgres/database.ts';
import { requireServer, schemaVersion } from '../queue/postgres/migrate.ts';
import { type Check, fail, messageOf, ok, skipped, warn } from './check.ts';
import { attributeOf, type DatabaseFindings } from './database.ts';

type Settings = DatabaseSettings & { kind: 'postgres' };

const parts = ['schema', 'privileges', 'durability', 'connections', 'database clock'];
const newestAttempts = 5000;
const clockToleranceMs = 2000;

/** Looks into a PostgreSQL database beside replicas that may be running on it: reads, and nothing else. */
export async function lookIntoPostgres(settings: Settings): Promise<DatabaseFindings> {
  const db = openDatabase(settings.url, { connections: 1 });
  const name = describeDatabase(settings);
  try {
    const { version } = await requireServer(db, 0);
    const server = `${name}, PostgreSQL ${Math.floor(version / 10_000)}.${version % 10_000}`;
    const schema = await checkSchema(db);
    const isMade = schema.status === 'ok' && (await hasTables(db));
    return {
      checks: [
        ok('database', isMade ? `${server}: ${await content(db)}` : server),
        schema,
        await checkPrivileges(db, isMade),
        await checkDurability(db),
        await checkConnections(db, settings.connections),
        await checkClock(db),
      ],
      leftOut: isMade ? await leftOut(db) : [],
      installations: isMade ? await installations(db) : 0,
    };
  } catch (error) {
    const remedy =
      'check that it runs, that DATABASE_URL names its host, port, database, user and password, and that this machine may reach it';
    const checks = [
      fail('database', `${name}: ${messageOf(error)}`, remedy),
      ...skipped(parts, 'mend the database first'),
    ];
    return { checks, leftOut: [], installations: 0 };
  } finally {
    await db.close();
  }
}

async function hasTables(db: Database): Promise<boolean> {
  return (await schemaVersion(db)).version > 0;
}

async function content(db: Database): Promise<string> {
  const [row] = await db.query<{ queued: number; dead: number }>(
    "SELECT (SELECT count(*) FROM job) AS queued, (SELECT count(*) FROM settled WHERE status = 'dead') AS dead",
  );
  return `events queued: ${row?.queued}, dead letters: ${row?.dead}`;
}

async function checkSchema(db: Database): Promise<Check> {
  try {
    const { version, known } = await schemaVersion(db);
    if (version === 0) return ok('schema', 'the tables are made at the first start');
    if (version > known)
      return ok('schema', `version ${version}, newer than this release's ${known}; both go together`);
    if (version === known) return ok('schema', `version ${version}, up to date`);
    return ok('schema', `version ${version}; the next start, or migrate, brings it to ${known}`);
  } catch (error) {
    return fail('schema', messageOf(error), 'start a release that knows this schema');
  }
}

async function checkPrivileges(db: Database, isMade: boolean): Promise<Check> {
  const [role] = await db.query<{ name: string; schema: string | null; create: boolean | null }>(
    `SELECT current_user AS name, current_schema() AS schema, has_schema_privilege(current_schema(), 'CREATE') AS create`,
  );
  const { name = '', schema = null, create = null } = role ?? {};
  if (schema === null)
    return fail(
      'privileges',
      `the user ${name} may use no schema of the search_path`,
      `GRANT USAGE ON SCHEMA public TO ${name}`,
    );
  if (!isMade && !create)
    return fail(
      'privileges',
      `the user ${name} may not make tables`,
      `GRANT CREATE ON SCHEMA ${schema} TO ${name}, or run migrate as a user who may`,
    );
  if (!isMade) return ok('privileges', `the user ${name} may make the tables`);
  const lacking = await db.query<{ name: string }>(
    `SELECT relname::text AS name FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND CASE relkind
       WHEN 'r' THEN relname <> 'schema_version' AND NOT has_table_privilege(oid, 'SELECT')
         OR relname <> 'schema_version' AND NOT (has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE'))
       WHEN 'S' THEN NOT has_sequence_privilege(oid, 'USAGE') ELSE false END ORDER BY 1`,
  );
  if (lacking.length > 0)
    return fail(
      'privileges',
      `the user ${name} may not read and write ${lacking.map((table) => table.name).join(', ')}`,
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${name}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${schema} TO ${name}`,
    );
  const [owner] = await db.query<{ own: boolean }>(
    "SELECT pg_has_role(relowner, 'USAGE') AS own FROM pg_class WHERE oid = to_regclass('event')",
  );
  return ok(
    'privileges',
    `the user ${name} may read and write${owner?.own ? '' : '; it does not own the tables, so that migrate has to be run by who does'}`,
  );
}

/** What has to be lost before an event is that was answered with a 2xx. */
async function checkDurability(db: Database): Promise<Check> {
  const [row] = await db.query<Durability>(
    `SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages,
       current_setting('synchronous_commit') AS commit, current_setting('synchronous_standby_names') AS names,
       (SELECT count(*) FROM pg_stat_replication) AS standbys,
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS synchronous,
       (SELECT count(*) FROM pg_stat_replication WHERE sync_state IS NOT NULL) AS seen`,
  );
  return judgeDurability(row!);
}

export type Durability = {
  fsync: string;
  pages: string;
  commit: string;
  /** synchronous_standby_names. */
  names: string;
  /** Those that are attached; only a monitoring role sees (`seen`) which of them are `synchronous`. */
  standbys: number;
  synchronous: number;
  seen: number;
};

export function judgeDurability({ fsync, pages, commit, names, standbys, synchronous, seen }: Durability): Check {
  const name = 'durability';
  const off = [
    ...(fsync === 'off' ? ['fsync'] : []),
    ...(pages === 'off' ? ['full_page_writes'] : []),
    ...(commit === 'off' ? ['synchronous_commit'] : []),
  ];
  if (off.length > 0)
    return fail(
      name,
      `${off.join(' and ')} off: a crash loses events that were answered with 2xx`,
      `switch ${off.join(' and ')} on`,
    );
  if (names === '')
    return warn(
      name,
      `a commit is on this server's disk alone${standbys > 0 ? ', and reaches its standbys later' : ''}: if its machine is lost, so are the last events that were answered with 2xx`,
      "set synchronous_standby_names = 'ANY 1 (…)' with two standbys. Nothing is to be done where the storage itself is replicated before a commit returns, as with Amazon RDS Multi-AZ, Aurora or Cloud SQL HA, which can't be seen from here",
    );
  if (commit === 'local')
    return warn(name, 'synchronous_commit is local: no commit waits for the standbys', 'set it to on');
  if (synchronous > 0) return ok(name, `a commit waits for ${names}; synchronous standbys attached: ${synchronous}`);
  if (standbys > seen)
    return ok(name, `a commit waits for ${names}; which standbys are attached is shown to members of pg_monitor alone`);
  return fail(
    name,
    `a commit waits for ${names}, and no such standby is attached: nothing can be kept, and /ingest answers 503`,
    'start the standby, or name one that is attached; ANY 1 of two goes on when one is away',
  );
}

async function checkConnections(db: Database, connections: number): Promise<Check> {
  const [row] = await db.query<{ most: number; used: number; own: number }>(
    `SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS most,
       (SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
       coalesce((SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
         (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database()), 100000) AS own`,
  );
  const most = Math.min(row!.most, row!.own);
  const told = `a replica opens up to ${connections} (DATABASE_CONNECTIONS); the server allows ${most}, of which ${row!.used} are used`;
  if (connections * 2 > most)
    return warn(
      'connections',
      `${told}: not enough for two replicas`,
      'raise max_connections (or the limit of the user or the database), lower DATABASE_CONNECTIONS, or put PgBouncer between, in transaction mode',
    );
  return ok('connections', `${told}: enough for ${Math.floor(most / connections)} replicas`);
}

/** Leases and retry times go by the database's clock, receipts by this machine's. */
async function checkClock(db: Database): Promise<Check> {
  const askedAtMs = Date.now();
  const [row] = await db.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now');
  const aheadMs = (askedAtMs + Date.now()) / 2 - row!.now;
  const told = `this machine's clock is ${(Math.abs(aheadMs) / 1000).toFixed(1)} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's`;
  if (Math.abs(aheadMs) <= clockToleranceMs) return ok('database clock', told);
  return warn('database clock', told, 'synchronise both clocks (chrony, systemd-timesyncd, or those of their hosts)');
}

async function leftOut(db: Database): Promise<DatabaseFindings['leftOut']> {
  const rows = await db.query<{ name: string; message: string }>(
    `SELECT DISTINCT warning ->> 'field' AS name, warning ->> 'message' AS message
     FROM (SELECT exchange FROM attempt ORDER BY seq DESC LIMIT $1) AS newest,
       json_array_elements(CASE WHEN exchange LIKE '%"unknown_attribute"%' THEN exchange::json -> 'warnings' END) AS warning
     WHERE warning ->> 'code' = 'unknown_attribute' ORDER BY 1`,
    [newestAttempts],
  );
  return rows.map(({ name, message }) => attributeOf(name, message));
}

/** Those that came over HTTP; the environment's own is in no table. */
async function installations(db: Database): Promise<number> {
  const [row] = await db.query<{ n: number }>("SELECT count(*) AS n FROM installation WHERE id <> 'default'");
  return row?.n ?? 0;
}
