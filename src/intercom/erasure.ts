import { z } from 'zod';
import type { ContactRecord } from './contact-record.ts';
import { type Conversation, delivered, outcomeOf } from './conversation.ts';
import { indexLagMs } from './identity.ts';
import type { Outcome } from './outcome.ts';

/** Who is to be erased in Intercom, beside what the contact record knows. */
export type Erasure = { id: string; userId: string | null; emails: string[] };

const Created = z.object({ id: z.string().min(1) });
const SearchResult = z.object({
  data: z.array(z.object({ id: z.string().min(1), role: z.string().nullish(), external_id: z.string().nullish() })),
});

const pageSize = 50;
/** Each round ends a contact or answers a question; nobody has more of them. */
const rounds = 200;

/**
 * Deletes every contact of a person: those that are known by id, the user with its external_id, the leads with its
 * emails. That Intercom knows an id no more proves nothing, since archived and merged contacts answer 404 as well: the
 * contact is brought back and deleted, or Intercom says that it is gone for good, and whoever has the external_id is
 * asked for by the one call that sees archived contacts, too, a create.
 *
 * What is done stands in the record, so that a retry goes on from there.
 */
export async function erase(c: Conversation, erasure: Erasure, now: () => number): Promise<Outcome> {
  for (let round = 0; round < rounds; round += 1) {
    const outcome = await advance(c, erasure, now);
    if (outcome) return outcome;
  }
  return { kind: 'retry', reason: 'conflict', status: null };
}

async function advance(c: Conversation, erasure: Erasure, now: () => number): Promise<Outcome | undefined> {
  const { record } = c;
  const progress = record.erasure ?? { gone: [], searched: [], isUserGone: false };
  const known = [record.contactId ?? [], record.leadIds, Object.values(record.sentTo)].flat();
  const next = known.find((id) => !progress.gone.includes(id));
  if (next !== undefined) {
    const isUser = erasure.userId !== null && next === record.contactId;
    const end = await remove(c, next, isUser ? `erased-${erasure.id}-${next}` : null);
    if (end !== 'deleted' && end !== 'gone') return end;
    // A contact that was there had the external_id; one that is gone had it only if Intercom has just said so.
    const isUserGone = progress.isUserGone || (isUser && (end === 'deleted' || progress.named === next));
    c.record = withoutContact(
      { ...record, erasure: { ...progress, isUserGone, gone: [...progress.gone, next] } },
      next,
    );
    return undefined;
  }
  if (erasure.userId !== null && !progress.isUserGone) return findUser(c, erasure.userId, progress);
  const doubtful = [...record.doubtfulLeads, ...(record.leadIntent ? [record.leadIntent] : [])];
  const waitMs = Math.max(0, ...doubtful.map(({ atMs }) => atMs + indexLagMs - now()));
  if (waitMs > 0) return { kind: 'retry', reason: 'lead_unconfirmed', status: null, afterMs: waitMs };
  const emails = new Set([...erasure.emails, ...doubtful.map(({ email }) => email)]);
  const email = [...emails].find((one) => !progress.searched.includes(one));
  if (email !== undefined) return searchLeads(c, email, progress);
  return delivered(progress.gone.length + progress.searched.length > 0 ? 200 : null);
}

type Progress = NonNullable<ContactRecord['erasure']>;

/** By a create: it names who has the external_id, archived or not, or makes a contact, which is deleted next. */
async function findUser(c: Conversation, userId: string, progress: Progress): Promise<Outcome | undefined> {
  const verdict = await c.call({ method: 'POST', path: '/contacts', body: { role: 'user', external_id: userId } });
  if (verdict.kind === 'done') {
    const made = Created.safeParse(verdict.body);
    if (!made.success) return { kind: 'retry', reason: 'edge_error', status: verdict.status };
    name(c, made.data.id, progress);
    return undefined;
  }
  if (verdict.kind !== 'exists') return outcomeOf(verdict);
  name(c, verdict.contactId, progress);
  return undefined;
}

function name(c: Conversation, contactId: string, progress: Progress): void {
  // One that is gone and still has the external_id is proof enough: Intercom frees it only after days.
  if (progress.gone.includes(contactId)) c.record = { ...c.record, erasure: { ...progress, isUserGone: true } };
  else c.record = { ...c.record, contactId, erasure: { ...progress, named: contactId } };
}

/** A user with another external_id is another person, though the email is the same. */
async function searchLeads(c: Conversation, email: string, progress: Progress): Promise<Outcome | undefined> {
  const body = { query: { field: 'email', operator: '=', value: email }, pagination: { per_page: pageSize } };
  const verdict = await c.call({ method: 'POST', path: '/contacts/search', body });
  if (verdict.kind !== 'done') return outcomeOf(verdict);
  const found = SearchResult.safeParse(verdict.body);
  if (!found.success) return { kind: 'retry', reason: 'edge_error', status: verdict.status };
  const own = found.data.data.filter((one) => one.role === 'lead' || !one.external_id).map(({ id }) => id);
  const others = found.data.data.filter(({ id }) => !own.includes(id) && !progress.gone.includes(id));
  if (others.length > 0) {
    const ids = others.map(({ id }) => id).join(', ');
    const message = `users with another external_id have the same email, and were left as they are: ${ids}`;
    c.warn({ code: 'others_with_this_email', message });
  }
  const fresh = own.filter((id) => !progress.gone.includes(id));
  const isAll = found.data.data.length < pageSize;
  // Behind a page of those that are deleted, and still in the index, there may be others.
  if (!isAll && fresh.length === 0)
    return { kind: 'retry', reason: 'lead_unconfirmed', status: verdict.status, afterMs: indexLagMs };
  const searched = isAll ? [...progress.searched, email] : progress.searched;
  c.record = { ...c.record, leadIds: [...c.record.leadIds, ...fresh], erasure: { ...progress, searched } };
  return undefined;
}

/**
 * Deletes a contact. Intercom keeps the external_id of a deleted user locked for days: a user gives it back first, so
 * that whoever comes with it next is somebody new.
 */
async function remove(c: Conversation, id: string, externalId: string | null): Promise<Outcome | 'deleted' | 'gone'> {
  const path = `/contacts/${encodeURIComponent(id)}`;
  for (let attempt = 0; attempt < 2; attempt += 1) {
    const renamed =
      externalId === null ? null : await c.call({ method: 'PUT', path, body: { external_id: externalId } });
    if (renamed?.kind === 'retry' || renamed?.kind === 'hold') return outcomeOf(renamed);
    if (renamed?.kind === 'rejected') c.warn(keepsItsId(id));
    if (renamed?.kind !== 'missing') {
      const deleted = await c.call({ method: 'DELETE', path });
      if (deleted.kind === 'done') return 'deleted';
      if (deleted.kind !== 'missing') return outcomeOf(deleted);
    }
    const restored = await c.call({ method: 'POST', path: `${path}/unarchive`, body: {} });
    if (restored.kind === 'missing') return 'gone';
    if (restored.kind === 'rejected' && restored.reason === 'not_restorable') return 'gone';
    if (restored.kind === 'exists') return removeArchived(c, path); // another one has its external_id by now
    if (restored.kind !== 'done') return outcomeOf(restored);
  }
  return { kind: 'retry', reason: 'conflict', status: null };
}

async function removeArchived(c: Conversation, path: string): Promise<Outcome | 'gone'> {
  const deleted = await c.call({ method: 'DELETE', path });
  return deleted.kind === 'done' || deleted.kind === 'missing' ? 'gone' : outcomeOf(deleted);
}

function keepsItsId(id: string): { code: string; message: string } {
  const message = `Intercom refused to give ${id} another external_id: its own stays locked for about 7 days`;
  return { code: 'external_id_locked', message };
}

function withoutContact(record: ContactRecord, id: string): ContactRecord {
  const { contactId, ...rest } = record;
  return {
    ...rest,
    ...(contactId !== undefined && contactId !== id && { contactId }),
    leadIds: record.leadIds.filter((one) => one !== id),
    sentTo: Object.fromEntries(Object.entries(record.sentTo).filter(([, target]) => target !== id)),
  };
}
