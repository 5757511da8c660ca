import type { AuditEntry, Queue, StoredInstallation } from '../queue.ts';
import { ownKeys } from './advisory.ts';
import type { Database, Transaction } from './database.ts';
import { discardJobs, forgetPeople } from './removal.ts';
import { storable } from './storable.ts';

/** Installations and the audit log, in the same database as the events: one backup has all of it. */
export type StoredInstallations = Pick<
  Queue,
  'installations' | 'keepInstallation' | 'removeInstallation' | 'keepAudit' | 'audit'
>;

export function createInstallations({ db, slot }: { db: Database; slot: number }): StoredInstallations {
  return {
    installations: () => db.query<StoredInstallation>('SELECT id, record FROM installation ORDER BY n'),
    keepInstallation: (id, record, audit) =>
      db.transaction(async (tx) => {
        await tx.query(
          'INSERT INTO installation (id, record) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET record = excluded.record',
          [id, record],
        );
        if (audit) await insertAudit(tx, audit);
      }),
    /** In steps, between which others write; what they have added meanwhile is found by the last look, which has no others. */
    async removeInstallation(id, audit) {
      for (let isGone = false; !isGone;) {
        while (await discardJobs(db, id, slot));
        await forgetPeople(db, id);
        isGone = await db.transaction(async (tx) => {
          await tx.query(ownKeys);
          const left = await tx.query('SELECT 1 FROM lane WHERE installation = $1 AND queued > 0 LIMIT 1', [id]);
          if (left.length > 0) return false;
          await tx.query('DELETE FROM lane WHERE installation = $1', [id]);
          await tx.query('DELETE FROM installation WHERE id = $1', [id]);
          if (audit) await insertAudit(tx, audit);
          return true;
        });
      }
      await forgetPeople(db, id); // once more, for who came meanwhile
    },
    async keepAudit(entry) {
      await db.transaction((tx) => insertAudit(tx, entry));
    },
    async audit({ limit, before }) {
      const below = before === null ? Number.MAX_SAFE_INTEGER : Number(before);
      if (!Number.isSafeInteger(below)) return { entries: [], next: null };
      const rows = await db.query<AuditEntry & { id: string }>(
        `SELECT id::text, at AS "atMs", action, resource, changes, ip_address AS "ipAddress", user_agent AS "userAgent"
         FROM audit WHERE audit.id < $1 ORDER BY audit.id DESC LIMIT $2`,
        [below, limit + 1],
      );
      const entries = rows.slice(0, limit);
      return { entries, next: rows.length > limit ? (entries.at(-1)?.id ?? null) : null };
    },
  };
}

async function insertAudit(tx: Transaction, entry: AuditEntry): Promise<void> {
  const { atMs, action, resource, changes, ipAddress, userAgent } = entry;
  await tx.query(
    'INSERT INTO audit (at, action, resource, changes, ip_address, user_agent) VALUES ($1, $2, $3, $4, $5, $6)',
    [atMs, action, resource, changes, ipAddress, userAgent].map((value) =>
      typeof value === 'string' ? storable(value) : value,
    ),
  );
}
