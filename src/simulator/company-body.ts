import { z } from 'zod';
import type { Attributes } from './attributes.ts';
import type { Scalar } from './contact.ts';
import { isRefusal, refuse, type Refusal } from './replies.ts';

/** What an upsert asks for: only the keys that the body carried. */
export type CompanyChange = {
  company_id?: string;
  name?: string | null;
  plan?: string | null;
  size?: number | null;
  website?: string | null;
  industry?: string | null;
  remote_created_at?: number | null;
  monthly_spend?: number;
  custom_attributes?: Record<string, Scalar>;
};

/** Documented: the largest that `monthly_spend` may be. */
const MAX_SPEND = 2 ** 31 - 1;

// Strict, unlike contacts: an unknown key is refused (documented by example).
const CompanyBody = z.strictObject({
  company_id: z.string().min(1).nullish(),
  name: z.string().nullish(),
  plan: z.string().nullish(),
  size: z.int().nullish(),
  website: z.string().nullish(),
  industry: z.string().nullish(),
  remote_created_at: z.int().nullish(),
  // Documented: fractions are cut off. That a larger amount is refused is inferred.
  monthly_spend: z.number().max(MAX_SPEND).transform(Math.trunc).nullish(),
  custom_attributes: z.record(z.string(), z.unknown()).nullish(),
});

export function parseCompany(body: unknown, attributes: Attributes): CompanyChange | Refusal {
  const parsed = CompanyBody.safeParse(body);
  if (!parsed.success) return refuse(400, 'bad_request', `bad '${wrongKey(parsed.error)}' parameter`);
  const { company_id, custom_attributes, monthly_spend, name, plan, size, website, industry, remote_created_at } =
    parsed.data;
  const checked = attributes.check('company', custom_attributes ?? {});
  if (isRefusal(checked)) return checked;
  return {
    ...(company_id && { company_id }),
    ...(name !== undefined && { name }),
    ...(plan !== undefined && { plan }),
    ...(size !== undefined && { size }),
    ...(website !== undefined && { website }),
    ...(industry !== undefined && { industry }),
    ...(remote_created_at !== undefined && { remote_created_at }),
    ...(monthly_spend !== undefined && { monthly_spend: monthly_spend ?? 0 }),
    ...(custom_attributes && { custom_attributes: checked.values }),
  };
}

function wrongKey(error: z.ZodError): string {
  const issue = error.issues[0];
  return String(issue?.code === 'unrecognized_keys' ? issue.keys[0] : (issue?.path[0] ?? 'body'));
}
