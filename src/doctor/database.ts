import { existsSync, statSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { type Check, fail, messageOf, ok } from './check.ts';

export type DatabaseFindings = {
  checks: Check[];
  /** Traits that were not sent of late, since the workspace has no attribute for them. */
  leftOut: { model: 'contact' | 'company'; name: string }[];
  installations: number;
};

/** Larger ones take too long to read through. */
const largestChecked = 500_000_000;
const newestAttempts = 5000;

/** Looks into the database beside a service that may be running on it: read-only, and without its lock. */
export function lookIntoDatabase(path: string): DatabaseFindings {
  const nothing = { leftOut: [], installations: 0 };
  if (!existsSync(path)) return { checks: [ok('database', `${path} is made at the first start`)], ...nothing };
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: 5000 });
    try {
      return { checks: [checkContent(db, path)], leftOut: leftOut(db), installations: installations(db) };
    } finally {
      db.close();
    }
  } catch (error) {
    const remedy =
      "check that it is this service's database and that its user may read it; a broken one is restored from a backup, or moved away so that a new one is made";
    return { checks: [fail('database', `${path} can't be read (${messageOf(error)})`, remedy)], ...nothing };
  }
}

function checkContent(db: DatabaseSync, path: string): Check {
  const isSmall = statSync(path).size < largestChecked;
  const integrity = isSmall ? String(db.prepare('PRAGMA quick_check(1)').get()?.quick_check) : 'ok';
  if (integrity !== 'ok') {
    const remedy = 'stop the service and restore a backup; `sqlite3 FILE .recover` saves what can be read';
    return fail('database', `${path} is damaged (${integrity})`, remedy);
  }
  const { queued, dead } =
    db
      .prepare(
        "SELECT (SELECT count(*) FROM job) AS queued, (SELECT count(*) FROM settled WHERE status = 'dead') AS dead",
      )
      .get() ?? {};
  const depth = isSmall ? 'sound' : 'too large to be checked through';
  return ok('database', `${path}: ${depth}, events queued: ${String(queued)}, dead letters: ${String(dead)}`);
}

function leftOut(db: DatabaseSync): DatabaseFindings['leftOut'] {
  const rows = db
    .prepare(
      `SELECT DISTINCT warning.value ->> 'field' AS name, warning.value ->> 'message' AS message
       FROM (SELECT exchange FROM attempt WHERE exchange IS NOT NULL ORDER BY seq DESC LIMIT ?) AS newest,
         json_each(newest.exchange, '$.warnings') AS warning
       WHERE warning.value ->> 'code' = 'unknown_attribute' ORDER BY 1`,
    )
    .all(newestAttempts);
  return rows.map(({ name, message }) => attributeOf(String(name), String(message)));
}

export function attributeOf(name: string, message: string): DatabaseFindings['leftOut'][number] {
  return { model: message.includes('company attribute') ? 'company' : 'contact', name };
}

/** Those that came over HTTP; the environment's own is in no table. */
function installations(db: DatabaseSync): number {
  const table = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'installation'").get();
  return table ? Number(db.prepare("SELECT count(*) AS n FROM installation WHERE id <> 'default'").get()?.n) : 0;
}
