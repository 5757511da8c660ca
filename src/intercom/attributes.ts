import { z } from 'zod';
import type { Conversation } from './conversation.ts';
import type { Scalar } from './mapping.ts';
import type { Verdict } from './outcome.ts';

/**
 * The custom attributes that the workspace has. Intercom refuses a whole write for one that it doesn't know
 * (400 "Custom attribute 'x' does not exist"), so that the others are left out beforehand, and said to be.
 */
export type Attributes = {
  /** The writable ones of these, and a warning for each other; or why that can't be told now. */
  writable(wanted: Record<string, Scalar>, conversation: Conversation): Promise<Writable | Unanswered>;
  /** Intercom has just refused this one. */
  refused(name: string): void;
  /** Reads the list anew; tells the failure where nothing can be decided without it. */
  read(call: Conversation['call']): Promise<Unanswered | undefined>;
  /** As last read; undefined when it never could be. */
  names(): string[] | undefined;
  /** One that knows the same, and whose further learning changes nothing here. */
  copy(): Attributes;
};

type Writable = { attributes: Record<string, Scalar> };
type Unanswered = Extract<Verdict, { kind: 'retry' | 'hold' }>;
type Known = { names: Set<string> | undefined; readAtMs: number; refused: Set<string> };

const AttributeList = z.object({
  data: z.array(
    z.object({
      name: z.string(),
      custom: z.boolean().nullish(),
      archived: z.boolean().nullish(),
      api_writable: z.boolean().nullish(),
    }),
  ),
});

/** An attribute that is made in Intercom is noticed after this long at the latest. */
const rereadAfterMs = 10 * 60_000;

export function createAttributes(
  model: 'contact' | 'company',
  options: { createAttributes: boolean },
  now: () => number = () => performance.now(),
  from: Known = { names: undefined, readAtMs: -Infinity, refused: new Set() },
): Attributes {
  let known = from.names;
  let { readAtMs } = from;
  let reading: Promise<Unanswered | undefined> | undefined;
  const refusedNames = from.refused;
  const listing = { method: 'GET', path: `/data_attributes?model=${model}` } as const;

  async function writable(wanted: Record<string, Scalar>, conversation: Conversation): Promise<Writable | Unanswered> {
    const names = Object.keys(wanted);
    if (names.length === 0) return { attributes: wanted };
    if (now() - readAtMs > rereadAfterMs && names.some((name) => !known?.has(name))) {
      reading ??= read(conversation.call).finally(() => {
        reading = undefined;
      });
      const failure = await reading;
      if (failure) return failure;
    }
    const list = known;
    if (!list) return { attributes: wanted }; // the list can't be read: Intercom's own refusal tells
    for (const name of names.filter((one) => !list.has(one))) {
      const isMade = options.createAttributes && (await make(name, wanted[name]!, conversation));
      if (typeof isMade === 'object') return isMade;
      if (isMade) list.add(name);
      else conversation.warn(unknownAttribute(model, name));
    }
    return { attributes: Object.fromEntries(Object.entries(wanted).filter(([name]) => list.has(name))) };
  }

  /** A name that Intercom refuses once is not tried again before the list is read anew. */
  async function make(name: string, value: Scalar, conversation: Conversation): Promise<boolean | Unanswered> {
    if (refusedNames.has(name)) return false;
    const body = { name, model, data_type: dataType(value) };
    const verdict = await conversation.call({ method: 'POST', path: '/data_attributes', body });
    if (isUnanswered(verdict)) return verdict; // the trait is not left out for a failure that passes
    if (verdict.kind !== 'rejected') return verdict.kind === 'done';
    // Another person's event may have made it in the same moment, here or in another replica.
    const standing = await conversation.call(listing);
    if (isUnanswered(standing)) return standing;
    if (standing.kind === 'done' && writableNames(standing.body)?.has(name)) return true;
    refusedNames.add(name);
    return false;
  }

  async function read(call: Conversation['call']): Promise<Unanswered | undefined> {
    const verdict = await call(listing);
    // Without the list nobody knows what to make, and what is not made is left out.
    if (verdict.kind === 'retry' && options.createAttributes && !known) return verdict;
    readAtMs = now();
    refusedNames.clear();
    const names = verdict.kind === 'done' ? writableNames(verdict.body) : undefined;
    if (names) known = names;
    return undefined;
  }

  return {
    writable,
    refused(name) {
      known?.delete(name);
      readAtMs = -Infinity;
    },
    read,
    names: () => known && [...known],
    copy() {
      const same = { names: known && new Set(known), readAtMs, refused: new Set(refusedNames) };
      return createAttributes(model, options, now, same);
    },
  };
}

const isUnanswered = (verdict: Verdict): verdict is Unanswered => verdict.kind === 'retry' || verdict.kind === 'hold';

/** What an answer of `GET /data_attributes` allows to be written; undefined where it is none. */
export function writableNames(body: unknown): Set<string> | undefined {
  const list = AttributeList.safeParse(body);
  if (!list.success) return undefined;
  return new Set(
    list.data.data
      .filter((one) => one.custom !== false && !one.archived && one.api_writable !== false)
      .map(({ name }) => name),
  );
}

export function unknownAttribute(model: 'contact' | 'company', field: string) {
  return {
    code: 'unknown_attribute',
    message: `${field} was left out: the workspace has no ${model === 'contact' ? 'people' : 'company'} attribute of that name. Create it in Intercom under Settings > Data`,
    field,
  };
}

/** Numbers are made floats, since the next value of the same trait may have a fraction. */
function dataType(value: Scalar): 'string' | 'float' | 'boolean' {
  if (typeof value === 'boolean') return 'boolean';
  return typeof value === 'number' ? 'float' : 'string';
}
