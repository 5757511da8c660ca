import type { AuditEntry, StoredInstallation } from '../queue.ts';
import type { Database } from './database.ts';
import type { LaneSets } from './lane-sets.ts';
import type { Transaction } from './transaction.ts';

/** Installations and the audit log, in the same file as the events: one backup has all of it. */
export type StoredInstallations = {
  installations(): StoredInstallation[];
  keepInstallation(id: string, record: string, audit: AuditEntry | null): void;
  keepAudit(entry: AuditEntry): void;
  audit(page: { limit: number; before: string | null }): {
    entries: (AuditEntry & { id: string })[];
    next: string | null;
  };
  /** One bounded step of filtering what waits for an installation that is gone; true when more is to be done. */
  discard(id: string, nowMs: number): boolean;
  removeInstallation(id: string, audit: AuditEntry | null): void;
};

const stepRows = 500;

export function openInstallations(
  db: Database,
  { transaction, lanes }: { transaction: Transaction; lanes: LaneSets },
): StoredInstallations {
  const all = db.prepare('SELECT id, record FROM installation ORDER BY rowid');
  const upsert = db.prepare(
    'INSERT INTO installation VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record',
  );
  const remove = db.prepare('DELETE FROM installation WHERE id = ?');
  const insertAudit = db.prepare(
    'INSERT INTO audit (at, action, resource, changes, ip_address, user_agent) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const auditBelow = db.prepare('SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?');
  const jobsOf = db.prepare('SELECT seq, person FROM job WHERE person >= ? AND person < ? LIMIT ?');
  const deleteJob = db.prepare('DELETE FROM job WHERE seq = ?');
  const settle = db.prepare('INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const forgetPeople = ['contact WHERE person', 'alias WHERE key', 'joined WHERE person', 'consent WHERE person'].map(
    (what) => db.prepare(`DELETE FROM ${what} >= ? AND ${what.split(' ').at(-1)} < ?`),
  );

  function keepAudit({ atMs, action, resource, changes, ipAddress, userAgent }: AuditEntry): void {
    insertAudit.run(atMs, action, resource, changes, ipAddress, userAgent);
  }

  return {
    installations: () => all.all().map(({ id, record }) => ({ id: String(id), record: String(record) })),
    keepInstallation(id, record, audit) {
      upsert.run(id, record);
      if (audit) keepAudit(audit);
    },
    keepAudit,
    audit({ limit, before }) {
      const rows = auditBelow.all(before === null ? Number.MAX_SAFE_INTEGER : Number(before), limit + 1);
      const entries = rows.slice(0, limit).map((row) => ({
        id: String(row.id),
        atMs: Number(row.at),
        action: String(row.action),
        resource: String(row.resource),
        changes: String(row.changes),
        ipAddress: String(row.ip_address),
        userAgent: String(row.user_agent),
      }));
      return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null };
    },
    discard(id, nowMs) {
      const rows = jobsOf.all(...peopleOf(id), stepRows);
      for (const { seq, person } of rows) {
        deleteJob.run(Number(seq));
        settle.run(Number(seq), nowMs, 'filtered', 'installation_removed', String(person), 0, null, 0, null);
      }
      transaction.count('filtered', rows.length);
      return rows.length === stepRows;
    },
    removeInstallation(id, audit) {
      remove.run(id);
      for (const forget of forgetPeople) forget.run(...peopleOf(id));
      if (audit) keepAudit(audit);
      transaction.afterCommit(() => lanes.forget(id));
    },
  };
}

/** The keys of an installation's people lie between `id/` and `id0`, since `0` follows `/`. */
const peopleOf = (id: string): [from: string, below: string] => [`${id}/`, `${id}0`];
