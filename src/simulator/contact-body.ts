import { z } from 'zod';
import type { Attributes } from './attributes.ts';
import type { ContactFields, Scalar } from './contact.ts';
import { badParameter, isRefusal, refuse, type Refusal } from './replies.ts';
import { ADMIN_ID } from './workspace.ts';

/** What a create or update asks for: only the keys that the body carried, in the form in which they are stored. */
export type ContactChange = Partial<Omit<ContactFields, 'id' | 'companyIds' | 'created_at' | 'updated_at'>>;

// Unknown top-level keys are dropped without a word (seen in production code that sends `type`).
const ContactBody = z.object({
  // `contact` is recorded as another name of `lead`.
  role: z.enum(['user', 'lead', 'contact']).nullish(),
  external_id: z.string().nullish(),
  email: z.string().nullish(),
  phone: z.string().nullish(),
  name: z.string().nullish(),
  avatar: z.string().nullish(),
  owner_id: z.int().nullish(),
  unsubscribed_from_emails: z.boolean().nullish(),
  signed_up_at: z.int().nullish(),
  last_seen_at: z.int().nullish(),
  custom_attributes: z.record(z.string(), z.unknown()).nullish(),
});

/** Reads the body of a create or an update, or says why all of it is refused: a contact is never written in part. */
export function parseContact(body: unknown, attributes: Attributes): ContactChange | Refusal {
  const parsed = ContactBody.safeParse(body);
  if (!parsed.success) return badParameter(String(parsed.error.issues[0]?.path[0] ?? 'body'));
  const { role, external_id, email, phone, name, avatar, owner_id, signed_up_at, last_seen_at } = parsed.data;
  const { unsubscribed_from_emails, custom_attributes } = parsed.data;
  if (owner_id !== undefined && owner_id !== null && owner_id !== ADMIN_ID) {
    return refuse(400, 'parameter_invalid', 'The owner specified is not a member of the workspace');
  }
  let attributeValues: Record<string, Scalar> | undefined;
  if (custom_attributes) {
    const checked = attributes.check('contact', custom_attributes);
    if (isRefusal(checked)) return checked;
    attributeValues = checked.values;
  }
  return {
    ...(role && { role: role === 'user' ? 'user' : 'lead' }),
    // Recorded: an external id cannot be cleared, null is ignored. That an empty text is, too, is inferred.
    ...(external_id && { external_id }),
    // Recorded: null leaves an empty text, and search finds lower-case addresses only, so they are kept so (inferred).
    ...(email !== undefined && { email: (email ?? '').toLowerCase() }),
    ...(phone !== undefined && { phone }),
    ...(name !== undefined && { name }),
    ...(avatar !== undefined && { avatar }),
    ...(owner_id !== undefined && { owner_id }),
    ...(signed_up_at !== undefined && { signed_up_at }),
    ...(last_seen_at !== undefined && { last_seen_at }),
    ...(unsubscribed_from_emails !== undefined && { unsubscribed_from_emails: unsubscribed_from_emails ?? false }),
    ...(attributeValues && { custom_attributes: attributeValues }),
  };
}
