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
};

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

export function createAttributes(model: 'contact' | 'company', now: () => number = Date.now): Attributes {
  let known: Set<string> | undefined;
  let readAtMs = -Infinity;
  let reading: Promise<void> | undefined;

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
    const missing = names.filter((name) => !list.has(name));
    for (const field of missing) conversation.warn(unknownAttribute(model, field));
    return Object.fromEntries(Object.entries(wanted).filter(([name]) => list.has(name)));
  }

  async function read(call: Conversation['call']): Promise<void> {
    const verdict = await call({ method: 'GET', path: `/data_attributes?model=${model}` });
    readAtMs = now();
    const list = AttributeList.safeParse(verdict.kind === 'done' ? verdict.body : undefined);
    if (!list.success) return;
    known = new Set(
      list.data.data
        .filter((one) => one.custom !== false && !one.archived && one.api_writable !== false)
        .map(({ name }) => name),
    );
  }

  return {
    writable,
    refused(name) {
      known?.delete(name);
      readAtMs = -Infinity;
    },
    read,
  };
}

export function unknownAttribute(model: 'contact' | 'company', field: string) {
  return {
    code: 'unknown_attribute',
    message: `${field} was left out: the workspace has no ${model === 'contact' ? 'people' : 'company'} attribute of that name. Create it in Intercom under Settings > Data`,
    field,
  };
}
