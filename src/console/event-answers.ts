import { z } from 'zod';
import type { Cause, EventDetail, EventSummary } from '../queue/queue.ts';
import { explain } from './reasons.ts';

const time = z.iso.datetime();
const Intercom = z.object({ status: z.int().nullable(), calls: z.int() });

const summaryShape = {
  id: z.string(),
  status: z.enum(['queued', 'delivered', 'filtered', 'dead']),
  reason: z.string().nullable(),
  installation: z.string(),
  messageId: z.string(),
  type: z.string(),
  name: z.string().nullable().meta({ description: 'As Signal sent it.' }),
  userId: z.string().nullable(),
  email: z.string().nullable(),
  anonymousId: z.string().nullable(),
  receivedAt: time,
  occurredAt: time,
  settledAt: time.nullable(),
  nextAttemptAt: time
    .nullable()
    .meta({ description: 'When a queued event is tried again; null: it waits for its turn.' }),
  attempts: z.int(),
  intercom: Intercom,
};

/** A kept event as the list has it. */
export const KeptEvent = z.object(summaryShape).meta({ id: 'KeptEvent' });

export const EventList = z
  .object({ data: z.array(KeptEvent), nextCursor: z.string().nullable() })
  .meta({ id: 'EventList', description: 'Newest first.' });

const HistoryEntry = z.object({
  n: z.int(),
  at: time,
  outcome: z.string(),
  reason: z.string().nullable(),
  ms: z.int(),
  intercom: Intercom,
  exchange: z
    .unknown()
    .meta({ description: 'The calls with their bodies and answers, and the warnings; never a secret.' }),
});

/** A kept event with its whole story. */
export const EventStory = z
  .object({
    ...summaryShape,
    explanation: z.object({ cause: z.string(), remedy: z.string() }).nullable(),
    event: z.unknown().meta({ description: 'What Signal sent.' }),
    consent: z.unknown().meta({ description: 'The decision: category, form, key and value.' }),
    createdAt: z
      .int()
      .nullable()
      .meta({ description: "The second chosen for the Intercom event, where it is not the event's own." }),
    history: z.array(HistoryEntry),
  })
  .meta({ id: 'EventStory' });

const EventCause = z.object({
  reason: z.string(),
  status: z.enum(['dead', 'filtered']),
  count: z.int(),
  oldest: time.nullable().meta({ description: 'When the oldest of them was received.' }),
  newest: time.nullable(),
  explanation: z.string().nullable().meta({ description: 'What happened.' }),
  remedy: z.string().nullable().meta({ description: 'What to do.' }),
  example: z.object({ id: z.string(), name: z.string().nullable(), type: z.string() }).nullable(),
});

export const EventCauses = z
  .object({
    data: z.array(EventCause),
    filteredSince: time.nullable().meta({
      description:
        'All dead letters are counted; filtered events among the newest 100,000 events alone, which were received since then. null: those are all.',
    }),
  })
  .meta({ id: 'EventCauses', description: 'The most frequent first.' });

export function toSummary(event: EventSummary): z.infer<typeof KeptEvent> {
  const { receivedAtMs, atMs, settledAtMs, dueAtMs, intercomStatus, calls, ...rest } = event;
  return {
    ...rest,
    receivedAt: iso(receivedAtMs),
    occurredAt: iso(atMs),
    settledAt: settledAtMs === null ? null : iso(settledAtMs),
    nextAttemptAt: dueAtMs === null ? null : iso(dueAtMs),
    intercom: { status: intercomStatus, calls },
  };
}

/** Explanations travel with the event, so that nobody has to look a reason up. */
export function toDetail({
  payload,
  decision,
  createdAtSeconds,
  history,
  ...summary
}: EventDetail): z.infer<typeof EventStory> {
  return {
    ...toSummary(summary),
    explanation: explain(summary.reason),
    event: JSON.parse(payload),
    consent: JSON.parse(decision),
    createdAt: createdAtSeconds,
    history: history.map(({ n, atMs, outcome, reason, exchange, intercomStatus, calls, ms }) => ({
      n,
      at: iso(atMs),
      outcome,
      reason,
      ms,
      intercom: { status: intercomStatus, calls },
      exchange: exchange === null ? null : JSON.parse(exchange),
    })),
  };
}

/** `byId` holds the oldest and the newest of each cause, unless they were forgotten in this moment. */
export function toCauseAnswer(
  status: 'dead' | 'filtered',
  { reason, count, oldest, newest }: Cause,
  byId: Map<string, EventSummary>,
): z.infer<typeof EventCause> {
  const explained = explain(reason);
  const example = byId.get(newest);
  return {
    reason,
    status,
    count,
    oldest: toTime(byId.get(oldest)?.receivedAtMs),
    newest: toTime(example?.receivedAtMs),
    explanation: explained?.cause ?? null,
    remedy: explained?.remedy ?? null,
    example: example ? { id: example.id, name: example.name, type: example.type } : null,
  };
}

export const toTime = (ms: number | undefined): string | null => (ms === undefined ? null : iso(ms));

const iso = (ms: number): string => new Date(ms).toISOString();
