import { z } from 'zod';
import { ProblemBody } from '../problem.ts';
import type { EventState, Receipt } from '../queue/queue.ts';
import type { Accepted } from './accept.ts';

const OriginalState = z.object({
  id: z.string(),
  status: z.enum(['queued', 'delivered', 'filtered', 'dead']),
  reason: z.string().optional(),
});

/** What became of one event, as /ingest answers it. */
export const EventAnswer = z
  .object({
    index: z.int().meta({ description: 'Its place in the request, from 0.' }),
    id: z.string().optional().meta({ description: "The id of the kept event; the original's for a duplicate." }),
    messageId: z.string().optional(),
    status: z.enum(['delivered', 'queued', 'filtered', 'duplicate', 'dead', 'rejected']).meta({
      description: [
        '- `delivered`: Intercom has it',
        '- `queued`: kept and under way; `reason` says if the installation is on hold',
        '- `filtered`: on purpose not sent; `reason` says why',
        '- `duplicate`: this messageId is known; `original` gives its state',
        '- `dead`: Intercom refused it for good; kept in the dead letters',
        '- `rejected`: invalid, nothing kept; `error` says what to change',
      ].join('\n'),
    }),
    reason: z.string().optional().meta({
      description:
        'Why it was filtered (`consent_functional`, `consent_marketing`, `consent_revoked`, `mapping_dropped`, `no_identifier`), is held (`hold_…`), died, or took no call of its own (`unchanged`, `merged`).',
    }),
    intercom: z.object({ status: z.int().nullable(), calls: z.int() }).optional().meta({
      description:
        "The status of Intercom's last answer (null: none was needed, or none came), and the calls spent on this event.",
    }),
    original: OriginalState.optional().meta({ description: 'The state of the first event with this messageId.' }),
    error: z
      .object({
        code: z.string(),
        message: z.string().meta({ description: 'What is wrong and what to send instead.' }),
        path: z.string().meta({ description: 'The first wrong field; empty where it is the event as a whole.' }),
      })
      .optional(),
  })
  .meta({ id: 'EventAnswer', description: 'What became of one event.' });
export type EventAnswer = z.infer<typeof EventAnswer>;

export const IngestAnswer = z
  .object({
    accepted: z.int().meta({ description: 'Events that are kept, now or (a duplicate) before.' }),
    rejected: z.int().meta({ description: 'Events of which nothing is kept.' }),
    events: z.array(EventAnswer).meta({ description: 'One entry per event, in the order of the request.' }),
  })
  .meta({ id: 'IngestAnswer', description: 'What became of each event of the request.' });
export type IngestAnswer = z.infer<typeof IngestAnswer>;

export const IngestProblem = ProblemBody.extend(IngestAnswer.partial().shape).meta({
  id: 'IngestProblem',
  description: 'A problem, with what became of each event where the events could be read.',
});

/** The answers in the order of the request; `settled` are the events that ended while the sender waited. */
export function answerEvents(
  accepted: Accepted[],
  receipts: Receipt[],
  settled: Map<string, EventState>,
  holdReason: string | null,
): EventAnswer[] {
  let next = 0;
  return accepted.map((one, index): EventAnswer => {
    if (!one.ok) {
      const [first] = one.problems;
      return {
        index,
        ...(one.messageId !== null && { messageId: one.messageId }),
        status: 'rejected',
        error: { code: first!.code, message: one.problems.map(({ message }) => message).join('; '), path: first!.path },
      };
    }
    const receipt = receipts[next]!;
    next += 1;
    const { messageId } = one.event;
    if (receipt.duplicate) {
      const { id, status, reason } = settled.get(receipt.id) ?? receipt.original;
      return {
        index,
        id,
        messageId,
        status: 'duplicate',
        original: { id, status, ...(reason !== null && { reason }) },
      };
    }
    if (receipt.status === 'filtered')
      return { index, id: receipt.id, messageId, status: 'filtered', reason: receipt.reason ?? 'filtered' };
    const state = settled.get(receipt.id);
    if (!state)
      return { index, id: receipt.id, messageId, status: 'queued', ...(holdReason !== null && { reason: holdReason }) };
    return {
      index,
      id: receipt.id,
      messageId,
      status: state.status,
      ...(state.reason !== null && { reason: state.reason }),
      ...(state.status !== 'filtered' && { intercom: { status: state.intercomStatus, calls: state.calls } }),
    };
  });
}

/** The status of the whole: see the table in the contract. */
export function answerStatus(events: EventAnswer[]): 200 | 202 | 207 | 400 | 422 {
  const refused = events.filter(({ status }) => status === 'rejected').length;
  const dead = events.filter(({ status }) => status === 'dead').length;
  if (refused === events.length) return 400;
  if (dead === events.length) return 422;
  if (refused + dead > 0) return 207;
  return events.some(({ status, original }) => (original?.status ?? status) === 'queued') ? 202 : 200;
}
