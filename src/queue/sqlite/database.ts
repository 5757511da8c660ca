import { DatabaseSync, type StatementSync } from 'node:sqlite';

/**
 * What the store needs of SQLite: the ten lines to change for another driver.
 *
 * `synchronous=FULL` is set after WAL mode and read back, because a driver may be built with another default for
 * WAL, under which a power cut loses acknowledged events.
 */
export type Database = {
  exec(sql: string): void;
  prepare(sql: string): StatementSync;
  close(): void;
};

export function openDatabase(path: string): Database {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('PRAGMA synchronous = FULL');
  db.exec('PRAGMA busy_timeout = 5000');
  db.exec('PRAGMA temp_store = MEMORY');
  db.exec('PRAGMA cache_size = -16384'); // KiB
  db.exec('PRAGMA wal_autocheckpoint = 1000'); // pages
  const mode = db.prepare('PRAGMA journal_mode').get()?.journal_mode;
  const synchronous = db.prepare('PRAGMA synchronous').get()?.synchronous;
  if (mode !== 'wal' || synchronous !== 2) {
    db.close();
    throw new Error(
      `the database runs with journal_mode=${String(mode)}, synchronous=${String(synchronous)}; wal and 2 are needed`,
    );
  }
  return db;
}

/**
 * One process per file: a second small database is held in an exclusive transaction, which the kernel ends with
 * the process, however that ends. (An exclusive lock on the database itself would shut out an operator's sqlite3.)
 */
export function lockDatabase(path: string): { release(): void } {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(`${path}.lock`);
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    if (lock?.isOpen) lock.close();
    throw new Error(explainLock(path, error), { cause: error });
  }
  const held = lock;
  return { release: () => held.close() };
}

const sqliteBusy = 5;
const sqliteReadOnly = 8;
const sqliteCantOpen = 14;

function explainLock(path: string, error: unknown): string {
  const code = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined;
  if (code === sqliteBusy)
    return `${path} is in use by another process. One process may use a database file; stop the other one`;
  if (code === sqliteReadOnly || code === sqliteCantOpen)
    return `${path} can't be written: its folder is read-only, or belongs to another user. Mount the volume writable for this one`;
  return `${path}.lock can't be used (${error instanceof Error ? error.message : String(error)}): delete it while the service is stopped`;
}

/**
 * Every hot table grows at its right edge (by `seq`, the order of acceptance), so that a group of events dirties
 * few pages; random keys stand only in what grows with people, not with events.
 */
export const schema = `
CREATE TABLE IF NOT EXISTS event (
  seq INTEGER PRIMARY KEY, installation TEXT NOT NULL, message_id TEXT NOT NULL, type TEXT NOT NULL, name TEXT,
  user_id TEXT, email TEXT, anonymous_id TEXT, received_at INTEGER NOT NULL, at INTEGER NOT NULL,
  decision TEXT NOT NULL, payload TEXT NOT NULL) STRICT;
-- A row is a queued event.
CREATE TABLE IF NOT EXISTS job (
  seq INTEGER PRIMARY KEY, person TEXT NOT NULL, due_at INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER) STRICT;
-- Events of anonymous visitors, that wait for a login.
CREATE INDEX IF NOT EXISTS job_held ON job (seq) WHERE instr(person, '/anon:') > 0;
-- Events that waited for a login, which they follow whatever becomes of their device.
CREATE TABLE IF NOT EXISTS was_held (seq INTEGER PRIMARY KEY) STRICT;
-- Only events that came while traces were collected.
CREATE TABLE IF NOT EXISTS trace (seq INTEGER PRIMARY KEY, traceparent TEXT NOT NULL) STRICT;
-- A row is an event that left the queue.
CREATE TABLE IF NOT EXISTS settled (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT, person TEXT NOT NULL, attempts INTEGER NOT NULL,
  intercom_status INTEGER, calls INTEGER NOT NULL, created_at INTEGER) STRICT;
CREATE INDEX IF NOT EXISTS settled_dead ON settled (seq) WHERE status = 'dead';
CREATE TABLE IF NOT EXISTS attempt (
  seq INTEGER NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, outcome TEXT NOT NULL, reason TEXT, intercom_status INTEGER,
  calls INTEGER NOT NULL, ms INTEGER NOT NULL, exchange TEXT, PRIMARY KEY (seq, n)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contact (person TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT, WITHOUT ROWID;
-- Which person a second key (an email, a device) belongs to.
CREATE TABLE IF NOT EXISTS alias (key TEXT PRIMARY KEY, person TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS alias_person ON alias (person);
-- People who are being erased: their keys, and how far the events of the past are walked.
CREATE TABLE IF NOT EXISTS erasure (
  seq INTEGER PRIMARY KEY, keys TEXT NOT NULL, walked INTEGER NOT NULL DEFAULT 0, devices TEXT NOT NULL DEFAULT '[]') STRICT;
CREATE TABLE IF NOT EXISTS joined (person TEXT NOT NULL, source TEXT NOT NULL, PRIMARY KEY (person, source)) STRICT, WITHOUT ROWID;
-- Only people who ever withheld something.
CREATE TABLE IF NOT EXISTS consent (person TEXT PRIMARY KEY, at INTEGER NOT NULL, functional INTEGER, marketing INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS seen_recent (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, print BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS installation (id TEXT PRIMARY KEY, record TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, action TEXT NOT NULL, resource TEXT NOT NULL, changes TEXT NOT NULL,
  ip_address TEXT NOT NULL, user_agent TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS total (name TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO total VALUES ('accepted', 0), ('delivered', 0), ('filtered', 0), ('dead', 0), ('last_seq', 0);
`;
