import { z } from 'zod';
import type { Conversation } from './conversation.ts';
import type { Scalar } from './mapping.ts';

/**
 * The custom attributes that the workspace has. Intercom refuses a whole write for one that it doesn't know
 * (400 "Custom attribute 'x' does not exist"), so that the others are left out beforehand, and said to be.
 */
export type Attributes = {
  /** The writable ones of these; a warning for each other. */
  writable(wanted: Record<string, Scalar>, conversation: Conversation): Promise<Record<string, Scalar>>;
  /** Intercom has just refused this one. */
  refused(name: string): void;
  /** Reads the list anew. */
  read(call: Conversation['call']): Promise<void>;
  /** As last read; undefined when it never could be. */
  names(): string[] | undefined;
  /** One that knows the same, and whose further learning changes nothing here. */
  copy(): Attributes;
};

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
  let reading: Promise<void> | undefined;
  const refusedNames = from.refused;

  async function writable(wanted: Record<string, Scalar>, conversation: Conversation): Promise<Record<string, Scalar>> {
    const names = Object.keys(wanted);
    if (names.length === 0) return wanted;
    if (now() - readAtMs > rereadAfterMs && names.some((name) => !known?.has(name))) {
      reading ??= read(conversation.call).finally(() => {
        reading = undefined;
      });
      await reading;
    }
    const list = known;
    if (!list) return wanted; // the list can't be read: Intercom's own refusal tells
    for (const name of names.filter((one) => !list.has(one))) {
      const isMade = options.createAttributes && (await make(name, wanted[name]!, conversation));
      if (isMade) list.add(name);
      else conversation.warn(unknownAttribute(model, name));
    }
    return Object.fromEntries(Object.entries(wanted).filter(([name]) => list.has(name)));
  }

  /** A name that Intercom refuses once is not tried again before the list is read anew. */
  async function make(name: string, value: Scalar, conversation: Conversation): Promise<boolean> {
    if (refusedNames.has(name)) return false;
    const body = { name, model, data_type: dataType(value) };
    const verdict = await conversation.call({ method: 'POST', path: '/data_attributes', body });
    if (verdict.kind === 'rejected') refusedNames.add(name);
    return verdict.kind === 'done';
  }

  async function read(call: Conversation['call']): Promise<void> {
    const verdict = await call({ method: 'GET', path: `/data_attributes?model=${model}` });
    readAtMs = now();
    refusedNames.clear();
    const names = verdict.kind === 'done' ? writableNames(verdict.body) : undefined;
    if (names) known = names;
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
