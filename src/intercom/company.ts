import { asObject, type SignalEvent } from '../ingest/event.ts';
import { fitText, readText, type Scalar } from './attribute-value.ts';
import { readDecimal } from './money.ts';
import { readDate, readTraits, withoutGaps, type Traits } from './traits.ts';
import type { Warn } from './warning.ts';

export type Company = {
  name?: string;
  plan?: string;
  size?: number;
  website?: string;
  industry?: string;
  monthly_spend?: number;
  remote_created_at?: number;
};

const reserved: ReadonlySet<string> = new Set(
  'id companyid groupid userid externalid anonymousid workspaceid appid type'.split(' '),
);

/** Intercom's integers have 32 bits. */
const largestInteger = 2 ** 31 - 1;

/** The fields that the traits of a group fill, and all its other traits as custom attributes. */
export function buildCompany(
  event: SignalEvent,
  warn: Warn,
): { company: Company; customAttributes: Record<string, Scalar> } {
  const traits = readTraits(event.traits, warn);
  const company = withoutGaps({
    name: readField(traits, ['name', 'companyname'], warn),
    plan: readPlan(traits, warn),
    size: readInteger(traits, ['size', 'employees', 'employeecount'], warn),
    website: readField(traits, ['website', 'url'], warn),
    industry: readField(traits, ['industry'], warn),
    monthly_spend: readInteger(traits, ['monthlyspend', 'mrr'], warn),
    remote_created_at: readDate(traits, ['remotecreatedat', 'createdat'], warn),
  });
  return { company, customAttributes: traits.rest(reserved) };
}

function readField(traits: Traits, spellings: string[], warn: Warn): string | undefined {
  const sent = traits.takeText(...spellings);
  return sent && fitText(sent.text, sent.key, warn);
}

function readPlan(traits: Traits, warn: Warn): string | undefined {
  const sent = traits.take(['plan'], (value) => planName(value) !== undefined);
  return sent && fitText(planName(sent.value)!, sent.key, warn);
}

function planName(value: unknown): string | undefined {
  return readText(value) ?? readText(asObject(value).name);
}

/** A number that is not one is left out: as null it would wipe what Intercom has. */
function readInteger(traits: Traits, spellings: string[], warn: Warn): number | undefined {
  const sent = traits.take(spellings);
  if (sent === undefined) return undefined;
  const integer = Math.trunc(Number(readDecimal(sent.value) ?? NaN));
  if (integer >= 0 && integer <= largestInteger) return integer;
  warn(
    'number_unreadable',
    `${sent.key} is no number from 0 to ${largestInteger} and was left out: send a plain number`,
    sent.key,
  );
  return undefined;
}
