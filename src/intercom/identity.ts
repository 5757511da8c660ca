import { z } from 'zod';
import { type Attributes, unknownAttribute } from './attributes.ts';
import { NotSent } from './client.ts';
import { forgetValues, hasLeads } from './contact-record.ts';
import { type Conversation, delivered, outcomeOf } from './conversation.ts';
import type { Scalar } from './mapping.ts';
import type { Outcome, Verdict } from './outcome.ts';

/**
 * Contacts without a search before a write: a create either makes the contact or names the one that exists, so that
 * the search index, which lags by minutes, is asked only for a lead that is known by nothing but its email.
 */
export type Wanted = { fields: Record<string, unknown>; attributes: Record<string, Scalar> };

export const nothing: Wanted = { fields: {}, attributes: {} };

const Contact = z.object({ id: z.string().min(1), role: z.string().nullish() });
const FoundContact = z.object({
  id: z.string().min(1),
  role: z.string().nullish(),
  created_at: z.number().nullish(),
});
type FoundContact = z.infer<typeof FoundContact>;
const SearchResult = z.object({ data: z.array(FoundContact) });

/** Intercom says "a few minutes" of its search index; a lead that is not found sooner may exist all the same. */
export const indexLagMs = 3 * 60_000;
const rounds = 4;

export type Identity = ReturnType<typeof createIdentity>;

export function createIdentity(options: { attributes: Attributes; now?: () => number }) {
  const now = options.now ?? Date.now;

  /** Brings the contact to what is wanted of it, at the fewest calls; delivered without a call where nothing differs. */
  async function upsert(c: Conversation, wanted: Wanted): Promise<Outcome> {
    const writable = await options.attributes.writable(wanted.attributes, c);
    if ('kind' in writable) return writable;
    const goal: Wanted = { fields: wanted.fields, attributes: { ...writable.attributes } };
    for (let round = -(c.record.leadIds.length + c.record.doubtfulLeads.length); round < rounds; round += 1) {
      const outcome = await advance(c, goal);
      if (outcome) return outcome;
    }
    return { kind: 'retry', reason: 'conflict', status: null };
  }

  /** One step towards the goal; undefined when another is needed. */
  async function advance(c: Conversation, goal: Wanted): Promise<Outcome | undefined> {
    if (mayAdopt(c)) {
      const [leadId] = c.record.leadIds;
      if (leadId !== undefined) return adoptLead(c, leadId, goal);
      return findDoubtfulLead(c);
    }
    if (c.record.contactId !== undefined) return update(c, c.record.contactId, goal);
    return c.person.kind === 'user' ? createUser(c, goal) : findOrCreateLead(c, goal);
  }

  async function createUser(c: Conversation, goal: Wanted): Promise<Outcome | undefined> {
    const verdict = await write(c, 'POST', '/contacts', { role: 'user', external_id: c.person.value }, goal);
    if (verdict.kind === 'done') return acknowledge(c, verdict, goal, 'user');
    if (verdict.kind !== 'exists') return outcomeOf(verdict);
    return meet(c, verdict);
  }

  /** The contact exists: its id is known from here on, and an archived one is brought back. */
  async function meet(
    c: Conversation,
    { contactId, archived }: { contactId: string; archived: boolean },
  ): Promise<Outcome | undefined> {
    if (archived) {
      const verdict = await c.call({
        method: 'POST',
        path: `/contacts/${encodeURIComponent(contactId)}/unarchive`,
        body: {},
      });
      if (verdict.kind !== 'done') return outcomeOf(verdict);
    }
    c.record = { ...c.record, contactId, role: 'user', exists: true };
    return undefined;
  }

  async function update(c: Conversation, contactId: string, goal: Wanted): Promise<Outcome | undefined> {
    const changes: Wanted = {
      fields: changed(c.record.fields, goal.fields),
      attributes: changed(c.record.attributes, goal.attributes),
    };
    if (isEmpty(changes)) return delivered(null);
    const verdict = await write(c, 'PUT', `/contacts/${encodeURIComponent(contactId)}`, {}, changes);
    if (verdict.kind === 'done') return acknowledge(c, verdict, changes, c.record.role ?? 'user');
    if (verdict.kind !== 'missing') return outcomeOf(verdict);
    forgetContact(c);
    return undefined;
  }

  /** A lead that turned out to be this user: made the user, or merged into the one that exists. */
  async function adoptLead(c: Conversation, leadId: string, goal: Wanted): Promise<Outcome | undefined> {
    if (c.record.contactId !== undefined) {
      const verdict = await c.call({
        method: 'POST',
        path: '/contacts/merge',
        body: { from: leadId, into: c.record.contactId },
      });
      if (verdict.kind === 'rejected') {
        c.warn({
          code: 'lead_not_merged',
          message: `Intercom refused to merge the lead ${leadId} into this user; it stays beside it`,
        });
      } else if (verdict.kind !== 'done' && verdict.kind !== 'missing') return outcomeOf(verdict);
      c.record = withoutLead(c.record, leadId);
      return undefined;
    }
    const verdict = await write(
      c,
      'PUT',
      `/contacts/${encodeURIComponent(leadId)}`,
      { role: 'user', external_id: c.person.value },
      goal,
    );
    if (verdict.kind === 'exists') return meet(c, verdict);
    if (verdict.kind !== 'done' && verdict.kind !== 'missing') return outcomeOf(verdict);
    c.record = withoutLead(c.record, leadId);
    if (verdict.kind === 'missing') return undefined;
    const outcome = acknowledge(c, verdict, goal, 'user');
    return hasLeads(c.record) ? undefined : outcome;
  }

  /** The lead that this user was before, if its creation came through. */
  async function findDoubtfulLead(c: Conversation): Promise<Outcome | undefined> {
    const [intent, ...others] = c.record.doubtfulLeads;
    if (intent === undefined) return undefined;
    const found = await search(c, intent);
    if ('kind' in found) return found;
    const lead = newest(found.contacts.filter(({ role }) => role === 'lead'));
    c.record = {
      ...c.record,
      doubtfulLeads: others,
      leadIds: [...new Set([...c.record.leadIds, ...(lead ? [lead.id] : [])])],
    };
    return undefined;
  }

  /** By email; not before the search index has a lead that was just made. */
  async function search(
    c: Conversation,
    { email, atMs }: { email: string; atMs: number },
  ): Promise<Outcome | { contacts: FoundContact[] }> {
    if (now() - atMs < indexLagMs) {
      return { kind: 'retry', reason: 'lead_unconfirmed', status: null, afterMs: atMs + indexLagMs - now() };
    }
    const verdict = await c.call({
      method: 'POST',
      path: '/contacts/search',
      body: { query: { field: 'email', operator: '=', value: email }, pagination: { per_page: 10 } },
    });
    if (verdict.kind !== 'done') return outcomeOf(verdict);
    const found = SearchResult.safeParse(verdict.body);
    return { contacts: found.success ? found.data.data : [] };
  }

  async function findOrCreateLead(c: Conversation, goal: Wanted): Promise<Outcome | undefined> {
    const found = await search(c, c.record.leadIntent ?? { email: c.person.value, atMs: -Infinity });
    if ('kind' in found) return found;
    const best = newest(found.contacts.filter(({ role }) => role !== 'lead')) ?? newest(found.contacts);
    if (best) {
      c.record = {
        ...without(c.record, 'leadIntent'),
        contactId: best.id,
        role: best.role === 'lead' ? 'lead' : 'user',
      };
      return undefined;
    }
    return createLead(c, goal);
  }

  /**
   * `POST /contacts` for a lead never conflicts: sent twice, it makes two. So the intent is made durable first, and
   * after an end that nobody knows (a timeout, a crash) the lead is searched for before it is created again.
   */
  async function createLead(c: Conversation, goal: Wanted): Promise<Outcome> {
    c.record = { ...c.record, leadIntent: { email: c.person.value, atMs: now() } };
    await c.save();
    const own = { fields: { ...goal.fields, email: c.person.value }, attributes: goal.attributes };
    let verdict: Verdict;
    try {
      verdict = await write(c, 'POST', '/contacts', { role: 'lead' }, own);
    } catch (error) {
      if (error instanceof NotSent) c.record = without(c.record, 'leadIntent');
      throw error;
    }
    if (verdict.kind === 'retry' && verdict.maybeDone) {
      return { kind: 'retry', reason: verdict.reason, status: verdict.status, afterMs: indexLagMs };
    }
    c.record = without(c.record, 'leadIntent');
    return verdict.kind === 'done' ? acknowledge(c, verdict, own, 'lead') : outcomeOf(verdict);
  }

  /** Writes a contact; an attribute that Intercom doesn't know is dropped from the goal, and the rest sent again. */
  async function write(
    c: Conversation,
    method: 'POST' | 'PUT',
    path: string,
    identifiers: Record<string, unknown>,
    goal: Wanted,
  ): Promise<Verdict> {
    for (;;) {
      const body = {
        ...identifiers,
        ...goal.fields,
        ...(Object.keys(goal.attributes).length > 0 && { custom_attributes: goal.attributes }),
      };
      await doubt(c, goal);
      const verdict = await c.call({ method, path, body });
      if (verdict.kind !== 'unknown_attribute' || !(verdict.name in goal.attributes)) return verdict;
      options.attributes.refused(verdict.name);
      c.warn(unknownAttribute('contact', verdict.name));
      const { [verdict.name]: _, ...left } = goal.attributes;
      goal.attributes = left;
    }
  }

  return { upsert };
}

/**
 * What is about to be overwritten is known no longer, until Intercom has acknowledged the new value. Durable before the
 * call: after an end that nobody knows (a timeout, a crash) the same event may never be sent again, or together with a
 * later one that says the old value, which must not be left out as unchanged.
 */
async function doubt(c: Conversation, { fields, attributes }: Wanted): Promise<void> {
  const record = forgetValues(c.record, { fields: Object.keys(fields), attributes: Object.keys(attributes) });
  if (record === c.record) return;
  c.record = record;
  await c.save();
}

function acknowledge(
  c: Conversation,
  verdict: { status: number; body: unknown },
  sent: Wanted,
  role: 'user' | 'lead',
): Outcome {
  const contact = Contact.safeParse(verdict.body);
  c.record = {
    ...c.record,
    ...(contact.success && { contactId: contact.data.id }),
    role,
    exists: true,
    fields: { ...c.record.fields, ...sent.fields },
    attributes: { ...c.record.attributes, ...sent.attributes },
  };
  return delivered(verdict.status);
}

/** The id leads nowhere (deleted, merged, archived): what was known of that contact holds no longer. */
export function forgetContact(c: Conversation): void {
  const { contactId: _, exists: __, role: ___, ...rest } = c.record;
  c.record = { ...rest, fields: {}, attributes: {}, companies: {} };
}

/** Leads are made one with their user, but for while an event is in doubt: a merge could hide it, or take its second. */
export function mayAdopt(c: Conversation): boolean {
  return c.person.kind === 'user' && !c.isInDoubt && hasLeads(c.record);
}

function newest(contacts: FoundContact[]): FoundContact | undefined {
  return contacts.toSorted((a, b) => (b.created_at ?? 0) - (a.created_at ?? 0))[0];
}

function changed<V>(known: Record<string, unknown>, wanted: Record<string, V>): Record<string, V> {
  return Object.fromEntries(Object.entries(wanted).filter(([key, value]) => known[key] !== value));
}

function isEmpty(wanted: Wanted): boolean {
  return Object.keys(wanted.fields).length === 0 && Object.keys(wanted.attributes).length === 0;
}

function withoutLead(record: Conversation['record'], leadId: string): Conversation['record'] {
  return { ...record, leadIds: record.leadIds.filter((one) => one !== leadId) };
}

function without<T extends object, K extends keyof T>(object: T, key: K): Omit<T, K> {
  const { [key]: _, ...rest } = object;
  return rest;
}
