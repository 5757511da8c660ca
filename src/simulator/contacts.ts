import { randomUUID } from 'node:crypto';
import type { Attributes } from './attributes.ts';
import type { Companies } from './companies.ts';
import { toContact, type ContactFields } from './contact.ts';
import { parseContact, type ContactChange } from './contact-body.ts';
import type { ContactRecord, ContactStatus, ContactStore } from './contact-store.ts';
import type { Events } from './events.ts';
import { readPaging, toPage } from './pages.ts';
import { isRefusal, ok, refuse, userNotFound, type Refusal, type Reply } from './replies.ts';
import type { Workspace } from './workspace.ts';

export type Contacts = ReturnType<typeof createContacts>;

/** The contact endpoints but for search: create, read, update, and the ways in which a contact ends. */
export function createContacts({
  workspace,
  store,
  attributes,
  companies,
  events,
}: {
  workspace: Workspace;
  store: ContactStore;
  attributes: Attributes;
  companies: Companies;
  events: Events;
}) {
  const show = (record: ContactRecord) => toContact(record.fields, workspace.id);

  function create(body: unknown): Reply {
    const change = parseContact(body, attributes);
    if (isRefusal(change)) return change;
    // Documented by example: a body of an email alone makes a user.
    const role = change.role ?? 'user';
    if (role === 'user') {
      const refusal = unidentified(change) ?? conflict(change);
      if (refusal) return refusal;
    }
    const at = workspace.seconds();
    const fields: ContactFields = {
      id: workspace.newId(),
      email: null,
      phone: null,
      name: null,
      avatar: null,
      owner_id: null,
      unsubscribed_from_emails: false,
      signed_up_at: null,
      last_seen_at: null,
      custom_attributes: {},
      ...change,
      role,
      // Recorded: a lead's external id is assigned by Intercom, whatever was sent.
      external_id: role === 'lead' ? randomUUID() : (change.external_id ?? null),
      created_at: at,
      updated_at: at,
      companyIds: [],
    };
    return ok(show(store.add(fields)));
  }

  /** Only users conflict. Leads never do: the same lead may be created any number of times (recorded). */
  function conflict({ external_id: externalId, email }: ContactChange): Refusal | undefined {
    if (externalId) {
      const users = store.withExternalId(externalId, ['live', 'archived', 'deleted']);
      const live = users.find((record) => record.status === 'live');
      if (live) return exists('A', live);
      // With an external id the email is not looked at: two users may share one address (documented).
      return users[0] && exists('An archived', users[0]);
    }
    const sameEmail = email ? store.liveUsersByEmail(email)[0] : undefined;
    return sameEmail && exists('A', sameEmail);
  }

  function update(id: string, body: unknown): Reply {
    const record = store.live(id);
    if (!record) return userNotFound();
    const change = parseContact(body, attributes);
    if (isRefusal(change)) return change;
    const before = record.fields;
    if (before.role === 'user' && change.role === 'lead') {
      return refuse(400, 'client_error', "Contact with user role can't be converted to a lead");
    }
    const role = change.role ?? before.role;
    const externalId = role === 'lead' ? before.external_id : (change.external_id ?? before.external_id);
    if (externalId !== null && externalId !== before.external_id) {
      // Recorded: an archived contact with this external id does not stand in the way of an update.
      const other = store.withExternalId(externalId, ['live']).find((live) => live !== record);
      if (other) return exists('A', other);
    }
    store.save(record, {
      ...before,
      ...change,
      role,
      external_id: externalId,
      custom_attributes: { ...before.custom_attributes, ...change.custom_attributes },
      // Recorded: it moves even when nothing changed.
      updated_at: workspace.seconds(),
    });
    return ok(show(record));
  }

  function read(id: string): Reply {
    const record = store.live(id);
    return record ? ok(show(record)) : userNotFound();
  }

  function readByExternalId(externalId: string): Reply {
    // Documented for 2.13: users only, not leads.
    const user = store.withExternalId(externalId, ['live']).find((record) => record.fields.role === 'user');
    return user ? ok(show(user)) : userNotFound();
  }

  function list(query: URLSearchParams): Reply {
    const live = [...store.all()].filter((record) => record.status === 'live');
    return ok(toPage(live, readPaging(query, 50), show));
  }

  function archive(id: string): Reply {
    const record = store.get(id);
    if (!record || record.status === 'deleted' || record.status === 'merged') return userNotFound();
    if (record.status === 'live') end(record, 'archived');
    return ok(ended(record, { archived: true }));
  }

  function unarchive(id: string): Reply {
    const record = store.get(id);
    if (!record) return userNotFound();
    if (record.status === 'merged') {
      return refuse(400, 'bad_request', 'User has been merged and is not restorable.');
    }
    if (record.status === 'deleted') {
      return refuse(400, 'bad_request', 'User has been marked for permanent deletion and is not restorable.');
    }
    if (record.status === 'archived') {
      // Inferred: an update may have given the external id to somebody else meanwhile; two live ones must not share it.
      const { external_id: externalId } = record.fields;
      const other = externalId ? store.withExternalId(externalId, ['live'])[0] : undefined;
      if (other) return exists('A', other);
      store.save(record, record.fields, 'live');
      companies.countAgain(record.fields);
    }
    return ok(ended(record, { archived: false }));
  }

  function remove(id: string): Reply {
    const record = store.get(id);
    if (!record || record.status === 'deleted' || record.status === 'merged') return userNotFound();
    end(record, 'deleted');
    return ok(ended(record, { deleted: true }));
  }

  function merge(body: Record<string, unknown>): Reply {
    for (const name of ['from', 'into']) {
      if (typeof body[name] !== 'string') return refuse(400, 'parameter_not_found', `${name} not specified`);
    }
    const from = store.live(String(body['from']));
    const into = store.live(String(body['into']));
    if (!from || !into) return userNotFound();
    if (from.fields.role !== 'lead' || into.fields.role !== 'user') {
      return refuse(400, 'parameter_invalid', 'Only a lead can be merged, and only into a user');
    }
    // Inferred: what belongs to the lead moves to the user; the user's own fields stay as they are.
    events.move(from.id, into.id);
    const companyIds = [...new Set([...into.fields.companyIds, ...from.fields.companyIds])];
    end(from, 'merged');
    store.save(into, { ...into.fields, companyIds, updated_at: workspace.seconds() });
    companies.countAgain(into.fields);
    return ok(show(into));
  }

  function end(record: ContactRecord, status: ContactStatus): void {
    store.save(record, record.fields, status);
    companies.countNoMore(record.fields);
  }

  return { create, update, read, readByExternalId, list, archive, unarchive, remove, merge };
}

function unidentified({ external_id: externalId, email }: ContactChange): Refusal | undefined {
  if (externalId || email) return undefined;
  return refuse(400, 'parameter_not_found', 'external_id or email not specified');
}

function exists(article: 'A' | 'An archived', record: ContactRecord): Refusal {
  return refuse(409, 'conflict', `${article} contact matching those details already exists with id=${record.id}`);
}

function ended(record: ContactRecord, how: { archived: boolean } | { deleted: boolean }) {
  return { id: record.id, external_id: record.fields.external_id, type: 'contact', ...how };
}
