import { z } from 'zod';
import { ProblemError } from '../problem.ts';
import type { EventFilter, EventSummary } from '../queue/queue.ts';

const time = z
  .string()
  .transform((value) => Date.parse(value))
  .refine((ms) => !Number.isNaN(ms), { error: 'must be an ISO 8601 time' });
export const someText = z.string().min(1);

/** What events are looked for by: the query of `GET /events` and its stream, and the body of a redrive. */
export const EventQuery = z
  .strictObject({
    status: z
      .enum(['queued', 'delivered', 'filtered', 'dead'], { error: 'must be queued, delivered, filtered or dead' })
      .optional(),
    type: someText.optional(),
    name: someText.optional(),
    userId: someText.optional(),
    email: someText.optional(),
    messageId: someText.optional(),
    reason: someText.optional(),
    installation: someText.optional(),
    from: time.optional(),
    to: time.optional(),
    text: someText.optional().meta({ description: 'A text that the raw event contains.' }),
  })
  .meta({ id: 'EventQuery' });

export function toFilter({ from, to, ...rest }: z.output<typeof EventQuery>): EventFilter {
  return { ...rest, receivedFromMs: from, receivedToMs: to };
}

/** As the queue itself compares, but for `text`, which needs the raw event. */
export function matches(filter: EventFilter, event: EventSummary): boolean {
  return (
    fits(filter.status, event.status) &&
    fits(filter.reason, event.reason) &&
    fits(filter.type, event.type) &&
    fits(filter.name, event.name) &&
    fits(filter.userId, event.userId) &&
    fits(filter.email, event.email) &&
    fits(filter.messageId, event.messageId) &&
    fits(filter.installation, event.installation) &&
    (filter.receivedFromMs === undefined || event.receivedAtMs >= filter.receivedFromMs) &&
    (filter.receivedToMs === undefined || event.receivedAtMs < filter.receivedToMs)
  );
}

export function fits(wanted: string | undefined, actual: string | null): boolean {
  return wanted === undefined || wanted === actual;
}

/** Parses what a request brings; all that is wrong with it is said at once. */
export function readQuery<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const errors = parsed.error.issues.map((issue) => ({
    code: 'invalid_field',
    message: issue.message,
    path: issue.path.join('.'),
  }));
  throw new ProblemError({
    status: 400,
    code: 'invalid_query',
    detail: errors.map(({ path, message }) => `${path} ${message}`).join('; '),
    errors,
  });
}
