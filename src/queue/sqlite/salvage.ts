import { hash } from 'node:crypto';
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { schema } from './database.ts';

/**
 * A database with damaged pages is never worked on: it is moved aside as it is, and what can be read of it goes into a
 * new one. The ledger of the new one balances again; whatever could not be carried over is counted and told.
 */
export type Salvage = {
  /** Where the damaged file lies now. */
  movedTo: string;
  damage: string;
  /** Rows that were carried over. */
  events: number;
  queued: number;
  /** Events whose state is lost: dead letters with the reason `database_damaged`, to be redriven or left. */
  uncertain: number;
  /** Queued events whose content is lost. */
  lost: number;
};

/** Larger files would delay each start; what is wrong with them shows where it is read. */
const checkedAtStartBytes = 64 * 1024 * 1024;

/** What is wrong with the file, or null. `thorough`: however large it is. */
function damageOf(path: string, thorough: boolean): string | null {
  if (!existsSync(path) || statSync(path).size === 0) return null;
  if (!thorough && statSync(path).size > checkedAtStartBytes) return null;
  try {
    // Read only, since its end must not write the log into a damaged file. A rollback journal, which is there if the
    // machine died while the file was being made, comes without a log, and has to be taken back before anything is read.
    const db = new DatabaseSync(path, { readOnly: !existsSync(`${path}-journal`) });
    try {
      const found = db.prepare('PRAGMA quick_check(1)').get()?.quick_check;
      return found === 'ok' ? null : String(found);
    } finally {
      db.close();
    }
  } catch (error) {
    if (isDamage(error)) return error instanceof Error ? error.message : String(error);
    throw error;
  }
}

const sqliteCorrupt = 11;
const sqliteNoDatabase = 26;

export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return false;
  const code = error.errcode & 0xff;
  return code === sqliteCorrupt || code === sqliteNoDatabase;
}

/** Moves a damaged file aside and puts what is left of it in its place; null where nothing is wrong. */
export function mend(path: string, thorough: boolean): Salvage | null {
  const damage = damageOf(path, thorough);
  return damage === null ? null : salvage(path, damage, Date.now());
}

export function salvage(path: string, damage: string, nowMs: number): Salvage {
  const movedTo = `${path}.corrupt-${new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')}`;
  const draft = `${path}.salvage`;
  for (const name of beside(draft)) rmSync(name); // of a salvage that was cut short
  // The file itself goes first: a start that comes in between finds none, and not one without its log.
  for (const name of beside(path)) renameSync(name, movedTo + name.slice(path.length));
  const to = new DatabaseSync(draft);
  to.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL');
  to.exec('BEGIN');
  to.exec(schema);
  copyAll(movedTo, to);
  const told = settleAccounts(to, nowMs);
  to.exec('COMMIT');
  to.close();
  renameSync(draft, path);
  return { movedTo, damage, ...told };
}

/** The database and its `-wal`, `-shm` and `-journal`. */
function beside(path: string): string[] {
  return ['', '-wal', '-shm', '-journal'].map((suffix) => path + suffix).filter((name) => existsSync(name));
}

function copyAll(from: string, to: DatabaseSync): void {
  let source: DatabaseSync;
  try {
    source = new DatabaseSync(from, { readOnly: true });
  } catch {
    return; // not even its first page can be read
  }
  try {
    for (const { name, sql } of tablesOf(source, to)) {
      to.exec(sql.replace(/^CREATE TABLE (IF NOT EXISTS )?/i, 'CREATE TABLE IF NOT EXISTS '));
      copyTable(source, to, name, !/WITHOUT ROWID/i.test(sql));
    }
  } finally {
    source.close();
  }
}

/** Ours by the schema, and the days of messageIds as far as the list of tables can be read. */
function tablesOf(source: DatabaseSync, to: DatabaseSync): { name: string; sql: string }[] {
  const list = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'";
  const read = (db: DatabaseSync) =>
    db
      .prepare(list)
      .all()
      .map(({ name, sql }) => ({ name: String(name), sql: String(sql) }));
  try {
    return [...read(to), ...read(source).filter(({ name }) => /^seen_day_\d+$/.test(name))];
  } catch {
    return read(to);
  }
}

const atOnce = 200;

/** From both ends to the damage; in a table with row numbers also between the damaged pages. */
function copyTable(source: DatabaseSync, to: DatabaseSync, name: string, hasRowId: boolean): void {
  let insert: ReturnType<DatabaseSync['prepare']> | undefined;
  const keep = (row: Record<string, unknown>): void => {
    insert ??= to.prepare(
      `INSERT OR REPLACE INTO ${name} (${Object.keys(row).join(', ')}) VALUES (${Object.keys(row)
        .map(() => '?')
        .join(', ')})`,
    );
    try {
      insert.run(...(Object.values(row) as SQLInputValue[]));
    } catch {
      // a row of a page that is something else by now
    }
  };
  const walk = (sql: string, ...values: number[]): boolean => {
    try {
      for (const row of source.prepare(sql).iterate(...values)) keep(row);
      return true;
    } catch {
      return false;
    }
  };
  if (walk(`SELECT * FROM ${name}`)) return;
  if (!hasRowId) {
    const key = to.prepare(`SELECT name FROM pragma_table_info('${name}') WHERE pk = 1`).get()?.name;
    if (typeof key === 'string') walk(`SELECT * FROM ${name} ORDER BY ${key} DESC`);
    return;
  }
  const last = lastRow(source, name);
  const range = (low: number, high: number): void => {
    if (low > high || walk(`SELECT * FROM ${name} WHERE rowid BETWEEN ? AND ?`, low, high) || low === high) return;
    const middle = Math.floor((low + high) / 2);
    range(low, middle);
    range(middle + 1, high);
  };
  for (let low = 0; low <= last; low += atOnce) range(low, Math.min(last, low + atOnce - 1));
}

/** Of this table, or where its end is damaged of any other: they share their numbers. */
function lastRow(source: DatabaseSync, name: string): number {
  const seen = [name, 'event', 'job', 'settled', 'seen_recent', 'attempt'].map((table) => {
    try {
      const key = table === 'attempt' ? 'seq' : 'rowid';
      return Number(source.prepare(`SELECT max(${key}) AS n FROM ${table}`).get()?.n ?? 0);
    } catch {
      return 0;
    }
  });
  return Math.max(...seen);
}

/** Makes of the rows that are left a whole: every event has one state, every count is of something that is there. */
function settleAccounts(db: DatabaseSync, nowMs: number): Pick<Salvage, 'events' | 'queued' | 'uncertain' | 'lost'> {
  const count = (sql: string): number => Number(db.prepare(sql).get()?.n ?? 0);
  const total = (name: string): number => count(`SELECT n FROM total WHERE name = '${name}'`);
  const lastSeq = count(
    "SELECT max(n) AS n FROM (SELECT n FROM total WHERE name = 'last_seq' UNION ALL SELECT max(seq) FROM event UNION ALL SELECT max(seq) FROM job UNION ALL SELECT max(seq) FROM settled UNION ALL SELECT max(seq) FROM seen_recent)",
  );
  const lost = count('SELECT count(*) AS n FROM job WHERE seq NOT IN (SELECT seq FROM event)');
  for (const table of ['job', 'settled', 'attempt', 'was_held', 'trace'])
    db.exec(`DELETE FROM ${table} WHERE seq NOT IN (SELECT seq FROM event)`);
  db.exec('DELETE FROM settled WHERE seq IN (SELECT seq FROM job)');
  const uncertain = count(
    'SELECT count(*) AS n FROM event WHERE seq NOT IN (SELECT seq FROM job) AND seq NOT IN (SELECT seq FROM settled)',
  );
  db.prepare(
    `INSERT INTO settled (seq, at, status, reason, person, attempts, calls)
     SELECT seq, ?, 'dead', 'database_damaged', installation || CASE
       WHEN user_id IS NOT NULL THEN '/user:' || user_id WHEN email IS NOT NULL THEN '/email:' || email
       ELSE '/anon:' || coalesce(anonymous_id, '') END, 0, 0
     FROM event WHERE seq NOT IN (SELECT seq FROM job) AND seq NOT IN (SELECT seq FROM settled)`,
  ).run(nowMs);
  rememberMessages(db);
  const queued = count('SELECT count(*) AS n FROM job');
  const set = db.prepare('INSERT OR REPLACE INTO total VALUES (?, ?)');
  let accepted = queued;
  for (const state of ['delivered', 'filtered', 'dead']) {
    const kept = count(`SELECT count(*) AS n FROM settled WHERE status = '${state}'`);
    const n = Math.max(kept, total(state) + (state === 'dead' ? uncertain : 0));
    set.run(state, n);
    accepted += n;
  }
  set.run('accepted', accepted);
  set.run('last_seq', lastSeq);
  return { events: count('SELECT count(*) AS n FROM event'), queued, uncertain, lost };
}

/** A messageId whose row was lost is known again by its event. */
function rememberMessages(db: DatabaseSync): void {
  const insert = db.prepare('INSERT OR IGNORE INTO seen_recent (seq, at, print) VALUES (?, ?, ?)');
  const events = db.prepare(
    'SELECT seq, installation, message_id, received_at FROM event WHERE seq >= (SELECT coalesce(min(seq), 0) FROM seen_recent) AND seq NOT IN (SELECT seq FROM seen_recent)',
  );
  for (const row of events.all())
    insert.run(
      Number(row.seq),
      Number(row.received_at),
      hash('sha256', `${String(row.installation)}\0${String(row.message_id)}`, 'buffer').subarray(0, 16),
    );
}
