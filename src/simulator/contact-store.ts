import type { ContactFields } from './contact.ts';

export type ContactStatus = 'live' | 'archived' | 'deleted' | 'merged';
export type ContactVersion = { at: number; status: ContactStatus; fields: ContactFields };
export type ContactRecord = {
  readonly id: string;
  status: ContactStatus;
  fields: ContactFields;
  /** Oldest first, the last one is the present; older ones are kept as long as search still shows them. */
  versions: ContactVersion[];
};
export type ContactStore = ReturnType<typeof createContactStore>;

/**
 * All contacts of the workspace, two views of them: the present, which reads by id and writes are checked
 * against, and the search index, which shows each contact as it was `indexLagMs` ago (documented: a delay of
 * "a few minutes"; recorded for creates, updates and archives alike).
 */
export function createContactStore({ now, settings }: { now: () => number; settings: { indexLagMs: number } }) {
  const byId = new Map<string, ContactRecord>();
  // Every record that has, or ever had, the value: the present and the delayed view both check what they find.
  const everByEmail = new Map<string, ContactRecord[]>();
  const everByExternalId = new Map<string, ContactRecord[]>();

  function add(fields: ContactFields): ContactRecord {
    const version: ContactVersion = { at: now(), status: 'live', fields };
    const record: ContactRecord = { id: fields.id, status: 'live', fields, versions: [version] };
    byId.set(record.id, record);
    enter(everByEmail, fields.email, record);
    enter(everByExternalId, fields.external_id, record);
    return record;
  }

  function save(record: ContactRecord, fields: ContactFields, status: ContactStatus = record.status): void {
    if (fields.email !== record.fields.email) enterOnce(everByEmail, fields.email, record);
    if (fields.external_id !== record.fields.external_id) enterOnce(everByExternalId, fields.external_id, record);
    record.fields = fields;
    record.status = status;
    record.versions.push({ at: now(), status, fields });
    const indexedAt = now() - settings.indexLagMs;
    while ((record.versions[1]?.at ?? Infinity) <= indexedAt) record.versions.shift();
  }

  function live(id: string): ContactRecord | undefined {
    const record = byId.get(id);
    return record?.status === 'live' ? record : undefined;
  }

  function withExternalId(externalId: string, statuses: ContactStatus[]): ContactRecord[] {
    const records = everByExternalId.get(externalId) ?? [];
    return records.filter((record) => record.fields.external_id === externalId && statuses.includes(record.status));
  }

  function liveUsersByEmail(email: string): ContactRecord[] {
    const records = everByEmail.get(email) ?? [];
    return records.filter(
      ({ fields, status }) => status === 'live' && fields.role === 'user' && fields.email === email,
    );
  }

  /** The version that search sees now; nothing while the contact is not indexed yet. */
  function indexed(record: ContactRecord): ContactVersion | undefined {
    const indexedAt = now() - settings.indexLagMs;
    return record.versions.findLast((version) => version.at <= indexedAt);
  }

  return {
    add,
    save,
    live,
    withExternalId,
    liveUsersByEmail,
    indexed,
    get: (id: string) => byId.get(id),
    all: () => byId.values(),
    everWithEmail: (email: string): readonly ContactRecord[] => everByEmail.get(email) ?? [],
    everWithExternalId: (externalId: string): readonly ContactRecord[] => everByExternalId.get(externalId) ?? [],
    /** For people who look in from outside: by Intercom id or external id, the living before the others. */
    find(id: string): ContactRecord | undefined {
      return byId.get(id) ?? withExternalId(id, ['live'])[0] ?? withExternalId(id, ['archived', 'deleted'])[0];
    },
  };
}

function enter(index: Map<string, ContactRecord[]>, key: string | null, record: ContactRecord): void {
  if (key === null || key === '') return;
  const records = index.get(key);
  if (records === undefined) index.set(key, [record]);
  else records.push(record);
}

function enterOnce(index: Map<string, ContactRecord[]>, key: string | null, record: ContactRecord): void {
  if (key === null || index.get(key)?.includes(record)) return;
  enter(index, key, record);
}
