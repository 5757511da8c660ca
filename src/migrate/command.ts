import { existsSync } from 'node:fs';
import { loadEnvFile } from 'node:process';
import { parseArgs } from 'node:util';
import { readDatabaseUrl } from '../config.ts';
import { type DatabaseSettings, describeDatabase } from '../config/database.ts';
import { move, type Moved } from '../queue/move/move.ts';
import { migrate } from '../queue/postgres/migrate.ts';

const usage = `migrate                                        brings the PostgreSQL database of DATABASE_URL to the newest schema
migrate --from file:./data/signal-intercom.db  moves that queue into the empty PostgreSQL database of DATABASE_URL
  --to postgres://user:password@host/database  another one than DATABASE_URL; others on this machine may see arguments
`;

class UsageError extends Error {}

/** The exit code: 0, or 1 with one plain line on why it could not be done. */
export async function runMigrate(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  try {
    if (existsSync('.env')) loadEnvFile('.env'); // what is set already outweighs it
    const { values } = parse(args);
    if (values.help) {
      process.stdout.write(usage);
      return 0;
    }
    const to = readDatabaseUrl(values.to ?? env.DATABASE_URL ?? '');
    if (to.kind !== 'postgres')
      throw new UsageError(
        `${values.to === undefined ? 'DATABASE_URL' : '--to'} names no PostgreSQL database, and an embedded one needs no migration. It has to be postgres://user:password@host:5432/database`,
      );
    if (values.from === undefined) await bringUp(to);
    else await moveUp(readDatabaseUrl(values.from), to);
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: { from: { type: 'string' }, to: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}

type Postgres = DatabaseSettings & { kind: 'postgres' };

async function bringUp(to: Postgres): Promise<void> {
  const applied = await migrate(to.url);
  const done = applied.length === 0 ? 'is up to date' : `is at version ${applied.at(-1)} of the schema now`;
  process.stdout.write(`${describeDatabase(to)} ${done}.\n`);
}

async function moveUp(from: DatabaseSettings, to: Postgres): Promise<void> {
  if (from.kind !== 'sqlite') throw new UsageError('--from has to be file:<path>, an embedded database');
  const startedAt = performance.now();
  process.stdout.write(`Moving ${from.path} to ${describeDatabase(to)}\n\n${line('table', 'rows', 'checksum')}`);
  const moved = await move({
    from: from.path,
    to: to.url,
    onTable: ({ table, rows, sum }) =>
      process.stdout.write(line(table, rows.toLocaleString('en'), BigInt.asUintN(64, BigInt(sum)).toString(16))),
  });
  process.stdout.write(`\n${report(moved, performance.now() - startedAt)}${nextSteps(from.path)}`);
}

const line = (table: string, rows: string, sum: string): string =>
  `${table.padEnd(14)}${rows.padStart(14)}  ${sum.padStart(16)}\n`;

function report(moved: Moved, ms: number): string {
  const rows = moved.reduce((sum, table) => sum + table.rows, 0);
  return `${rows.toLocaleString('en')} rows in ${(ms / 1000).toFixed(1)} s. Counts and checksums are the same on both sides.\n`;
}

function nextSteps(path: string): string {
  const keep = (name: string, file: string): string =>
    existsSync(file)
      ? `  ${name}: the content of ${file}`
      : `  ${name}: the same as until now (there is no ${file}, so it was set)`;
  return [
    `${path} was only read: keep it until you are content.`,
    'Now start the replicas, all with the same DATABASE_URL and',
    `${keep('ENCRYPTION_KEY', `${path}.key`)}; with another one the access tokens of installed workspaces can't be read`,
    keep('ADMIN_TOKEN', `${path}.admin-token`),
    '',
  ].join('\n');
}
