import { z } from 'zod';
import type { Attributes } from './attributes.ts';
import type { ContactFields } from './contact.ts';
import { isRefusal, refuse, type Refusal } from './replies.ts';
import { findField, type FieldType } from './search-fields.ts';

export type Matches = (contact: ContactFields) => boolean;
type Compare = (actual: unknown, wanted: unknown) => boolean;

/** Documented limits of a query. */
const MAX_FILTERS = 15;
const MAX_NESTING = 2;
const DAY_SECONDS = 24 * 3600;

const Group = z.object({ operator: z.enum(['AND', 'OR']), value: z.array(z.unknown()) });
const Filter = z.object({ field: z.string(), operator: z.string(), value: z.unknown() });

/** Turns a query into a function that tells whether a contact matches, or says what is wrong with it. */
export function compileQuery(query: unknown, attributes: Attributes, depth = 1): Matches | Refusal {
  const group = Group.safeParse(query);
  if (group.success) {
    const { operator, value: members } = group.data;
    if (depth > MAX_NESTING) return malformed(`There's a limit of max ${MAX_NESTING} nested filters`);
    if (members.length > MAX_FILTERS)
      return malformed(`There's a limit of max ${MAX_FILTERS} filters for each AND or OR group`);
    const all: Matches[] = [];
    for (const member of members) {
      const matches = compileQuery(member, attributes, depth + 1);
      if (isRefusal(matches)) return matches;
      all.push(matches);
    }
    return operator === 'AND'
      ? (contact) => all.every((matches) => matches(contact))
      : (contact) => all.some((matches) => matches(contact));
  }
  const filter = Filter.safeParse(query);
  return filter.success ? compileFilter(filter.data, attributes) : malformed('The query is malformed');
}

function compileFilter(filter: z.infer<typeof Filter>, attributes: Attributes): Matches | Refusal {
  const { field: name, operator, value } = filter;
  const field = findField(name, attributes);
  if (!field) return malformed(`'${name}' is not a searchable field`);
  if (!OPERATORS[field.type].includes(operator)) return malformed(`'${operator}' is not supported for '${name}'`);
  const isList = operator === 'IN' || operator === 'NIN';
  const values: unknown[] = isList && Array.isArray(value) ? value : [value];
  if (isList !== Array.isArray(value) || !values.every((each) => fits(each, field.type))) {
    return malformed(`The value of '${name}' is of the wrong type`);
  }
  const compare = field.type === 'date' ? DATE_COMPARE[operator] : COMPARE[operator];
  if (!compare) return malformed(`'${operator}' is not an operator`);
  const wanted = values.map((each) => toType(each, field.type));
  return (contact) => compare(field.read(contact), isList ? wanted : wanted[0]);
}

const OPERATORS: Record<FieldType, string[]> = {
  string: ['=', '!=', 'IN', 'NIN', '~', '!~', '^', '$'],
  integer: ['=', '!=', 'IN', 'NIN', '<', '>', '<=', '>='],
  boolean: ['=', '!=', 'IN', 'NIN'],
  date: ['=', '<', '>'],
  tag: ['=', '!='],
};

const COMPARE: Record<string, Compare> = {
  '=': (actual, wanted) => actual === wanted,
  '!=': (actual, wanted) => actual !== wanted,
  IN: (actual, wanted) => Array.isArray(wanted) && wanted.includes(actual),
  NIN: (actual, wanted) => Array.isArray(wanted) && !wanted.includes(actual),
  '<': (actual, wanted) => typeof actual === 'number' && actual < Number(wanted),
  '>': (actual, wanted) => typeof actual === 'number' && actual > Number(wanted),
  '<=': (actual, wanted) => typeof actual === 'number' && actual <= Number(wanted),
  '>=': (actual, wanted) => typeof actual === 'number' && actual >= Number(wanted),
  // Production code lower-cases emails before it searches: comparisons look at the case.
  '~': (actual, wanted) => typeof actual === 'string' && actual.includes(String(wanted)),
  '!~': (actual, wanted) => typeof actual !== 'string' || !actual.includes(String(wanted)),
  '^': (actual, wanted) => typeof actual === 'string' && actual.startsWith(String(wanted)),
  $: (actual, wanted) => typeof actual === 'string' && actual.endsWith(String(wanted)),
};

/** Documented: dates are compared by calendar day, and `>` begins with the day after. */
const DATE_COMPARE: Record<string, Compare> = {
  '=': (actual, wanted) => (wanted === null ? actual === null : day(actual) === day(wanted)),
  '<': (actual, wanted) => day(actual) < day(wanted),
  '>': (actual, wanted) => day(actual) > day(wanted),
};

function day(seconds: unknown): number {
  return typeof seconds === 'number' ? Math.floor(seconds / DAY_SECONDS) : NaN;
}

function fits(value: unknown, type: FieldType): boolean {
  if (value === null) return true;
  if (type === 'boolean') return typeof value === 'boolean' || value === 'true' || value === 'false';
  // Documented by example: a number may come as a text.
  if (type === 'date' || type === 'integer')
    return typeof value !== 'boolean' && value !== '' && Number.isFinite(Number(value));
  return typeof value === 'string' || typeof value === 'number';
}

function toType(value: unknown, type: FieldType): unknown {
  if (value === null) return null;
  if (type === 'boolean') return value === true || value === 'true';
  if (type === 'date' || type === 'integer') return Number(value);
  return typeof value === 'number' ? String(value) : value;
}

/** The texts of search errors are not documented, only that there are errors. */
function malformed(message: string): Refusal {
  return refuse(400, 'parameter_invalid', message);
}
