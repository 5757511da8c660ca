import { closeSync, existsSync, fsyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { type Check, fail, messageOf, ok, warn } from './check.ts';

const gigabyte = 1_000_000_000;
const syncs = 20;
/** The disk's sync stands between a sender and its 2xx. */
const slowSyncMs = 20;
/** File systems over a network, on which SQLite's locks and syncs are not to be relied on (statfs(2), f_type). */
const networkTypes = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x01021997, '9P'],
]);

/** Whether the folder of the database can be written to, has room, and syncs fast. */
export async function checkDisk(databasePath: string): Promise<Check> {
  const folder = resolve(dirname(databasePath));
  const existing = nearest(folder);
  let syncMs: number;
  try {
    syncMs = measureSync(existing, basename(databasePath));
  } catch (error) {
    return fail(
      'disk',
      `nothing can be written to ${existing} (${messageOf(error)})`,
      `let the service's user (here: ${process.getuid?.() ?? 'unknown'}) write there, or set DATABASE_URL to another folder`,
    );
  }
  const { bavail, bsize, type } = statfsSync(existing);
  const free = bavail * bsize;
  const room = `${(free / gigabyte).toFixed(1)} GB free`;
  const told = `${folder}: writable, ${room}, a sync takes ${syncMs.toFixed(1)} ms${existing === folder ? '' : '; the folder is made at the start'}`;
  const network = networkTypes.get(type);
  if (network !== undefined)
    return warn(
      'disk',
      `${told}, on ${network}`,
      'use local or block storage: over a network locks and syncs may fail',
    );
  if (free < gigabyte / 10) return fail('disk', told, 'make room: the queue grows while Intercom is away');
  if (free < gigabyte) return warn('disk', told, 'make room: the queue grows while Intercom is away');
  if (syncMs > slowSyncMs)
    return warn('disk', told, 'use a faster disk (SSD): each answer of /ingest waits for one sync');
  return ok('disk', told);
}

function nearest(folder: string): string {
  let existing = folder;
  while (!existsSync(existing)) existing = dirname(existing);
  return existing;
}

/** The median of several, as the store does them: a small append, then a sync. */
function measureSync(folder: string, name: string): number {
  const path = join(folder, `.${name}.doctor-${process.pid}`);
  const file = openSync(path, 'wx', 0o600);
  try {
    const page = Buffer.alloc(4096);
    const times = Array.from({ length: syncs }, () => {
      const startedAt = performance.now();
      writeSync(file, page);
      fsyncSync(file);
      return performance.now() - startedAt;
    });
    return times.sort((a, b) => a - b)[syncs / 2]!;
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}
