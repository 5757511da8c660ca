import { hash } from 'node:crypto';
import { z } from 'zod';
import { type Attributes, unknownAttribute } from './attributes.ts';
import { type Conversation, delivered, outcomeOf } from './conversation.ts';
import { type createIdentity, forgetContact, mayAdopt, nothing } from './identity.ts';
import type { Mapped } from './mapping.ts';
import type { Outcome, Verdict } from './outcome.ts';

type Company = Extract<Mapped, { kind: 'company' }>;

const Answer = z.object({ id: z.string().min(1) });
/** What is known of a company, whoever of its members told it; `sent` is empty where a change has no known end. */
const CompanyRecord = z.object({ intercomId: z.string(), sent: z.string() });
type CompanyRecord = z.infer<typeof CompanyRecord>;

type Upserted = { intercomId: string; status: number | null };

const rounds = 3;

/** Companies are upserted when changed and attached when not attached: 2, 1 or no calls. */
export function createCompanies(options: { identity: ReturnType<typeof createIdentity>; attributes: Attributes }) {
  async function deliver(c: Conversation, company: Company): Promise<Outcome> {
    let outcome: Outcome = delivered(null);
    for (let round = 0; round < rounds; round += 1) {
      if (c.record.contactId === undefined || mayAdopt(c)) {
        const found = await options.identity.upsert(c, nothing);
        if (found.kind !== 'delivered') return found;
        outcome = found;
      }
      const upserted = await upsert(c, company);
      if ('kind' in upserted) return upserted;
      if (upserted.status !== null) outcome = delivered(upserted.status);
      const contactId = c.record.contactId;
      if (contactId === undefined || c.record.companies[company.companyId] === upserted.intercomId) return outcome;
      const verdict = await c.call({
        method: 'POST',
        path: `/contacts/${encodeURIComponent(contactId)}/companies`,
        body: { id: upserted.intercomId },
      });
      if (verdict.kind === 'done') {
        c.record = { ...c.record, companies: { ...c.record.companies, [company.companyId]: upserted.intercomId } };
        return delivered(verdict.status);
      }
      if (verdict.kind !== 'missing') return outcomeOf(verdict);
      // The contact or the company is gone; which of them, its own upsert will tell.
      forgetContact(c);
      await remember(c, company, { intercomId: upserted.intercomId, sent: '' });
    }
    return { kind: 'retry', reason: 'not_found', status: 404 };
  }

  async function upsert(c: Conversation, company: Company): Promise<Outcome | Upserted> {
    const writable = await options.attributes.writable(company.customAttributes, c);
    if ('kind' in writable) return writable;
    const { attributes } = writable;
    const known = await readRecord(c, company);
    if (known?.sent === digest(bodyOf(company, attributes))) return { intercomId: known.intercomId, status: null };
    // Two first creates of one company at the same time make one of them fail, and two changes must not cross.
    return c.alone(keyOf(company), () => write(c, company, attributes));
  }

  async function write(
    c: Conversation,
    company: Company,
    writable: Company['customAttributes'],
  ): Promise<Outcome | Upserted> {
    const known = await readRecord(c, company);
    let attributes = writable;
    let verdict: Verdict;
    let sent: string;
    for (;;) {
      const body = bodyOf(company, attributes);
      sent = digest(body);
      if (known?.sent === sent) return { intercomId: known.intercomId, status: null };
      if (known && known.sent !== '') {
        // As with a contact's values: this call may be carried out, and its event never be sent again.
        await remember(c, company, { ...known, sent: '' });
      }
      verdict = await c.call({ method: 'POST', path: '/companies', body });
      if (verdict.kind !== 'unknown_attribute' || !(verdict.name in attributes)) break;
      options.attributes.refused(verdict.name);
      c.warn(unknownAttribute('company', verdict.name));
      const { [verdict.name]: _, ...left } = attributes;
      attributes = left;
    }
    if (verdict.kind !== 'done') return outcomeOf(verdict);
    const answer = Answer.safeParse(verdict.body);
    if (!answer.success) return { kind: 'retry', reason: 'edge_error', status: verdict.status };
    await remember(c, company, { intercomId: answer.data.id, sent });
    return { intercomId: answer.data.id, status: verdict.status };
  }

  async function readRecord(c: Conversation, company: Company): Promise<CompanyRecord | undefined> {
    const stored = await c.shared(keyOf(company));
    return stored === null ? undefined : CompanyRecord.parse(JSON.parse(stored));
  }

  /** Durable at once: the next one in turn reads it. */
  async function remember(c: Conversation, company: Company, record: CompanyRecord): Promise<void> {
    c.share(keyOf(company), JSON.stringify(record));
    await c.save();
  }

  return { deliver };
}

function bodyOf({ companyId, company }: Company, attributes: Company['customAttributes']): Record<string, unknown> {
  return {
    company_id: companyId,
    ...company,
    ...(Object.keys(attributes).length > 0 && { custom_attributes: attributes }),
  };
}

const digest = (body: Record<string, unknown>): string => hash('sha256', JSON.stringify(body), 'base64url');

/** Under which key a company's record is shared. */
export const companyKey = (companyId: string): string => `company:${companyId}`;
const keyOf = ({ companyId }: Company): string => companyKey(companyId);

export function companyIdIn(record: string): string {
  return CompanyRecord.parse(JSON.parse(record)).intercomId;
}
