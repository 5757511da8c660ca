import type { Attributes } from './attributes.ts';
import { parseCompany, type CompanyChange } from './company-body.ts';
import { toContact, type ContactFields, type Scalar } from './contact.ts';
import type { ContactStore } from './contact-store.ts';
import { readPaging, toPage } from './pages.ts';
import { companyNotFound, isRefusal, ok, refuse, userNotFound, type Reply } from './replies.ts';
import type { Workspace } from './workspace.ts';

export type Company = ReturnType<typeof toCompany>;
export type Companies = ReturnType<typeof createCompanies>;
type CompanyRecord = {
  readonly id: string;
  readonly companyId: string;
  readonly createdAt: number;
  updatedAt: number;
  fields: Omit<CompanyChange, 'company_id' | 'custom_attributes'>;
  customAttributes: Record<string, Scalar>;
  /** The live contacts that are attached; archived ones are not counted. */
  contactIds: Set<string>;
};

/** Documented: of one contact. */
const MAX_COMPANIES = 1000;

/** Companies and who belongs to them. */
export function createCompanies({
  workspace,
  store,
  attributes,
}: {
  workspace: Workspace;
  store: ContactStore;
  attributes: Attributes;
}) {
  const byId = new Map<string, CompanyRecord>();
  const byCompanyId = new Map<string, CompanyRecord>();
  const show = (record: CompanyRecord) => toCompany(record, workspace.id);

  /** Create or update by `company_id`, which never changes afterwards (documented). */
  function upsert(body: unknown): Reply {
    const change = parseCompany(body, attributes);
    if (isRefusal(change)) return change;
    if (change.company_id === undefined) return refuse(400, 'parameter_not_found', 'company_id not specified');
    const record = byCompanyId.get(change.company_id) ?? add(change.company_id);
    apply(record, change);
    return ok(show(record));
  }

  function update(id: string, body: unknown): Reply {
    const record = byId.get(id);
    if (!record) return companyNotFound();
    const change = parseCompany(body, attributes);
    if (isRefusal(change)) return change;
    apply(record, change);
    return ok(show(record));
  }

  function add(companyId: string): CompanyRecord {
    const at = workspace.seconds();
    const id = workspace.newId();
    const record = {
      id,
      companyId,
      createdAt: at,
      updatedAt: at,
      fields: {},
      customAttributes: {},
      contactIds: new Set<string>(),
    };
    byId.set(id, record);
    byCompanyId.set(companyId, record);
    return record;
  }

  function apply(record: CompanyRecord, change: CompanyChange): void {
    const { company_id: _immutable, custom_attributes: values, ...fields } = change;
    record.fields = { ...record.fields, ...fields };
    record.customAttributes = { ...record.customAttributes, ...values };
    record.updatedAt = workspace.seconds();
  }

  function read(id: string): Reply {
    const record = byId.get(id);
    return record ? ok(show(record)) : companyNotFound();
  }

  /** One by `company_id` or `name`; else the list, which hides companies without a contact (documented). */
  function list(query: URLSearchParams): Reply {
    const companyId = query.get('company_id');
    const name = query.get('name');
    if (companyId !== null || name !== null) {
      const byName = () => [...byId.values()].find((record) => record.fields.name === name);
      const record = companyId === null ? byName() : byCompanyId.get(companyId);
      return record ? ok(show(record)) : companyNotFound();
    }
    const visible = [...byId.values()].filter((record) => record.contactIds.size > 0);
    return ok(toPage(visible, readPaging(query, 15), show));
  }

  function remove(id: string): Reply {
    const record = byId.get(id);
    if (!record) return companyNotFound();
    for (const contactId of record.contactIds) forget(contactId, id);
    byId.delete(id);
    byCompanyId.delete(record.companyId);
    return ok({ id, object: 'company', deleted: true });
  }

  function attach(contactId: string, body: Record<string, unknown>): Reply {
    const contact = store.live(contactId);
    if (!contact) return userNotFound();
    const { id } = body;
    if (id === undefined || id === null) return refuse(400, 'parameter_not_found', 'company not specified');
    // Only Intercom's own id finds a company here, `company_id` does not (inferred).
    const record = typeof id === 'string' ? byId.get(id) : undefined;
    if (!record) return companyNotFound();
    const { companyIds } = contact.fields;
    // Documented: attaching again answers 200.
    if (companyIds.includes(record.id)) return ok(show(record));
    if (companyIds.length >= MAX_COMPANIES) {
      const message = `Contact has reached the maximum of ${MAX_COMPANIES} company associations`;
      return refuse(400, 'contact_company_limit_exceeded', message);
    }
    record.contactIds.add(contactId);
    store.save(contact, { ...contact.fields, companyIds: [...companyIds, record.id] });
    return ok(show(record));
  }

  function detach(contactId: string, id: string): Reply {
    const contact = store.live(contactId);
    if (!contact) return userNotFound();
    const record = byId.get(id);
    if (!record || !contact.fields.companyIds.includes(id)) return companyNotFound();
    record.contactIds.delete(contactId);
    forget(contactId, id);
    return ok(show(record));
  }

  function forget(contactId: string, id: string): void {
    const contact = store.get(contactId);
    if (!contact) return;
    const companyIds = contact.fields.companyIds.filter((companyId) => companyId !== id);
    store.save(contact, { ...contact.fields, companyIds });
  }

  function listOfContact(contactId: string, query: URLSearchParams): Reply {
    const contact = store.live(contactId);
    if (!contact) return userNotFound();
    const page = toPage(recordsOf(contact.fields), readPaging(query, 15), show);
    // The description's example has the list in `data`, its schema (and the official SDK) in `companies`.
    return ok({ ...page, companies: page.data });
  }

  function contactsOf(id: string, query: URLSearchParams): Reply {
    const record = byId.get(id);
    if (!record) return companyNotFound();
    const contacts = [...record.contactIds].flatMap((contactId) => store.live(contactId) ?? []);
    return ok(toPage(contacts, readPaging(query, 50), ({ fields }) => toContact(fields, workspace.id)));
  }

  function recordsOf(contact: ContactFields): CompanyRecord[] {
    return contact.companyIds.flatMap((id) => byId.get(id) ?? []);
  }

  return {
    upsert,
    update,
    read,
    list,
    remove,
    attach,
    detach,
    listOfContact,
    contactsOf,
    /** The contact is archived, deleted or merged away: its companies no longer count it. */
    countNoMore(contact: ContactFields): void {
      for (const record of recordsOf(contact)) record.contactIds.delete(contact.id);
    },
    countAgain(contact: ContactFields): void {
      for (const record of recordsOf(contact)) record.contactIds.add(contact.id);
    },
    has: (companyId: string) => byCompanyId.has(companyId),
    /** The other side of a race: somebody else has just created this company, with nothing but its id. */
    addElsewhere(companyId: string): void {
      if (!byCompanyId.has(companyId)) add(companyId);
    },
    all: () => [...byId.values()].map((record) => ({ ...show(record), contactIds: [...record.contactIds] })),
  };
}

function toCompany(record: CompanyRecord, workspaceId: string) {
  const { name, plan, size, website, industry, remote_created_at: remoteCreatedAt, monthly_spend } = record.fields;
  return {
    type: 'company',
    company_id: record.companyId,
    id: record.id,
    app_id: workspaceId,
    name: name ?? null,
    remote_created_at: remoteCreatedAt ?? null,
    created_at: record.createdAt,
    updated_at: record.updatedAt,
    monthly_spend: monthly_spend ?? 0,
    session_count: 0,
    user_count: record.contactIds.size,
    ...(size !== undefined && { size }),
    ...(website !== undefined && { website }),
    ...(industry !== undefined && { industry }),
    tags: { type: 'tag.list', tags: [] },
    segments: { type: 'segment.list', segments: [] },
    // Inferred: the plan is created on first use, its id is its name here.
    plan: plan ? { type: 'plan', id: plan, name: plan } : {},
    custom_attributes: record.customAttributes,
  };
}
