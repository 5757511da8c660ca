import { z } from 'zod';

const IntercomCall = z.object({
  method: z.enum(['GET', 'POST', 'PUT', 'DELETE']),
  path: z.string(),
  body: z.unknown().meta({ description: 'As it would be sent; null where the call has none.' }),
});

/** A call that would be made, and what its answer decides. */
export const ExplainedCall = IntercomCall.extend({
  note: z.string().nullable().meta({ description: 'What the call depends on, in words.' }),
  otherwise: z
    .object({ when: z.string(), calls: z.array(IntercomCall) })
    .nullable()
    .meta({ description: 'Where the answer may be another one: when, and the calls that follow it instead.' }),
}).meta({ id: 'ExplainedCall' });
export type ExplainedCall = z.infer<typeof ExplainedCall>;

export const ExplainedWarning = z
  .object({
    code: z.string(),
    message: z.string(),
    field: z.string().optional(),
    remedy: z.string().optional(),
  })
  .meta({ id: 'ExplainedWarning' });
export type ExplainedWarning = z.infer<typeof ExplainedWarning>;

export const ExplainedEvent = z
  .object({
    index: z.int().meta({ description: 'Its place in the request, from 0.' }),
    messageId: z.string().nullable(),
    type: z.string().nullable(),
    status: z.enum(['would_send', 'would_filter', 'rejected']),
    reason: z.string().nullable().meta({
      description:
        'Why it would be filtered (`duplicate` among the reasons), or take no call of its own (`unchanged`, `merged` into the last of several identifies, `held_until_login`).',
    }),
    consent: z
      .object({
        granted: z.boolean(),
        category: z.string(),
        form: z.string(),
        key: z.string().nullable(),
        value: z.unknown(),
      })
      .nullable()
      .meta({ description: 'The decision, and where it was read; null for an event that would be rejected.' }),
    person: z.string().nullable().meta({ description: '`user:…`, `email:…` or `anon:…`, after what is joined to it.' }),
    calls: z.array(ExplainedCall),
    warnings: z.array(ExplainedWarning),
    error: z.object({ code: z.string(), message: z.string(), path: z.string() }).optional(),
  })
  .meta({ id: 'ExplainedEvent', description: 'What would become of one event.' });
export type ExplainedEvent = z.infer<typeof ExplainedEvent>;

export const Explanation = z
  .object({ events: z.array(ExplainedEvent).meta({ description: 'In the order of the request.' }) })
  .meta({ id: 'Explanation', description: 'What would become of each event; nothing was sent or kept.' });
