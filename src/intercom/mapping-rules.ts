import { parseDocument } from 'yaml';
import { z } from 'zod';
import type { SignalEvent } from '../ingest/event.ts';
import { snakeCase } from './spelling.ts';

const text = 'must be a text of 1 to 255 characters';
const events = 'must be events: with the name of an event in each line under it';

const Rule = z.strictObject(
  {
    /** The event's name in Intercom. */
    rename: z.string(text).trim().min(1, text).max(255, text).optional(),
    /** True: the event is not sent. */
    drop: z.boolean('must be true or false').optional(),
    /** The consent that this event needs, whatever CONSENT_CATEGORY says. */
    consent: z.enum(['functional', 'marketing'], 'must be functional or marketing').optional(),
    /** The metadata keys to send, in order; a dotted path reaches into nested properties. */
    metadata: z
      .array(z.string(text).trim().min(1, text), 'must be a list such as [price, name]')
      .max(10, 'Intercom keeps 10 keys per event')
      .optional(),
  },
  'must be settings such as { drop: true }, or {} for none',
);
const RulesFile = z.strictObject({ events: z.record(z.string(), Rule, events).optional() }, events).nullable();

export type Rule = z.infer<typeof Rule>;
/** By `track:<name>`, `page:<name>`, `page`, `identify`, `group` or `*`, names in snake_case. */
export type MappingRules = { readonly byEvent: ReadonlyMap<string, Rule> };
export type ParsedRules = { ok: true; rules: MappingRules } | { ok: false; problems: string[] };

export const noRules: MappingRules = { byEvent: new Map() };

/** Reads MAPPING_FILE, or lists all that is wrong with it. */
export function parseMappingRules(yamlText: string): ParsedRules {
  const document = parseDocument(yamlText);
  if (document.errors.length > 0)
    return { ok: false, problems: document.errors.map(({ message }) => message.split(':\n', 1)[0]!) };
  const file = toValue(document);
  if (!file.ok) return file;
  const parsed = RulesFile.safeParse(file.value);
  if (!parsed.success) return { ok: false, problems: parsed.error.issues.flatMap(describe) };
  return index(Object.entries(parsed.data?.events ?? {}));
}

/** The rule of the event's own name, else of its type, else `*`. Spelling and case of names do not count. */
export function ruleFor(rules: MappingRules, event: SignalEvent): Rule | undefined {
  if (rules.byEvent.size === 0) return undefined;
  const key = keysOf(event).find((candidate) => rules.byEvent.has(candidate));
  return rules.byEvent.get(key ?? '*');
}

function keysOf(event: SignalEvent): string[] {
  const name = event.name === undefined ? [] : [nameKey(event.name)];
  if (event.type === 'track') return name.map((key) => `track:${key}`);
  // A reader of Intercom knows pages as page_viewed, and a rule that silently does nothing would send what it forbids.
  if (event.type === 'page') return [...name.map((key) => `page:${key}`), 'page', 'track:page_viewed'];
  return [event.type];
}

function index(entries: [string, Rule][]): ParsedRules {
  const byEvent = new Map<string, Rule>();
  const problems: string[] = [];
  for (const [written, rule] of entries) {
    const key = ruleKey(written);
    if (byEvent.has(key))
      problems.push(`events.${written}: there is another rule for the same event in a different spelling`);
    byEvent.set(key, rule);
    problems.push(...misplaced(written, key, rule));
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, rules: { byEvent } };
}

function misplaced(written: string, key: string, rule: Rule): string[] {
  const problems: string[] = [];
  if (key === '*' && rule.rename !== undefined) {
    problems.push('events.*.rename: would give every event the same name; rename events one by one');
  }
  if (key === 'identify' || key === 'group') {
    for (const setting of ['rename', 'metadata'] as const) {
      if (rule[setting] !== undefined)
        problems.push(`events.${written}.${setting}: ${key} makes no Intercom event, so it has no ${setting}`);
    }
  }
  return problems;
}

function ruleKey(written: string): string {
  const lower = written.trim().toLowerCase();
  if (['*', 'page', 'identify', 'group'].includes(lower)) return lower;
  const [, type, name] = /^\s*(page|track):(.*)$/is.exec(written) ?? [];
  return type !== undefined && name !== undefined
    ? `${type.toLowerCase()}:${nameKey(name)}`
    : `track:${nameKey(written)}`;
}

function nameKey(name: string): string {
  return snakeCase(name) || name.trim().toLowerCase();
}

/** YAML can refer to what is not there, and to so much that it would fill the memory; both come as exceptions. */
function toValue(
  document: ReturnType<typeof parseDocument>,
): { ok: true; value: unknown } | { ok: false; problems: string[] } {
  try {
    return { ok: true, value: document.toJS() };
  } catch (error) {
    return { ok: false, problems: [error instanceof Error ? error.message : String(error)] };
  }
}

function describe(issue: z.core.$ZodIssue): string[] {
  const path = issue.path.join('.');
  if (issue.code !== 'unrecognized_keys') return [`${path || 'the file'}: ${issue.message}`];
  const known = issue.path.length === 0 ? 'events' : Object.keys(Rule.shape).join(', ');
  return issue.keys.map((key) => `${path === '' ? key : `${path}.${key}`}: unknown key; known are ${known}`);
}
