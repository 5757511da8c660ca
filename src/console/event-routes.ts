import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../problem.ts';
import type { Queue } from '../queue/queue.ts';
import { type EventCauses, toCauseAnswer, toDetail, toSummary, toTime } from './event-answers.ts';
import { EventQuery, readQuery, someText, toFilter } from './event-query.ts';

const Page = EventQuery.extend({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: someText.optional(),
});

const SummaryQuery = z.strictObject({
  status: z.enum(['dead', 'filtered'], { error: 'must be dead or filtered' }).optional(),
  installation: someText.optional(),
});

/** Explanations travel with the events, so that nobody has to look a reason up. */
export async function eventRoutes(app: FastifyInstance, { queue }: { queue: Queue }): Promise<void> {
  app.get('/events', async (request) => {
    const { limit, cursor, ...query } = readQuery(Page, request.query);
    const { events, next } = await queue.find(toFilter(query), { limit, before: cursor ?? null });
    return { data: events.map(toSummary), nextCursor: next };
  });

  app.get<{ Params: { id: string } }>('/events/:id', async (request) => {
    const detail = await queue.detail(request.params.id);
    if (!detail) throw unknownEvent(request.params.id);
    return toDetail(detail);
  });

  app.get('/events/summary', async (request) => {
    const { status, installation } = readQuery(SummaryQuery, request.query);
    const data: z.input<typeof EventCauses>['data'] = [];
    let filteredSince: string | null = null;
    for (const one of status === undefined ? (['dead', 'filtered'] as const) : [status]) {
      const { causes, since } = await queue.causes(one, installation);
      const ends = await queue.summaries([...causes.flatMap(({ oldest, newest }) => [oldest, newest]), since ?? '']);
      const byId = new Map(ends.map((event) => [event.id, event]));
      data.push(...causes.flatMap((cause) => toCauseAnswer(one, cause, byId)));
      filteredSince = toTime(byId.get(since ?? '')?.receivedAtMs);
    }
    return { data: data.toSorted((a, b) => b.count - a.count), filteredSince };
  });
}

export function unknownEvent(id: string): ProblemError {
  const detail = `no event ${id.slice(0, 40)} is kept: it never was, or its time (RETENTION_DAYS, DEAD_LETTER_DAYS) is over`;
  return new ProblemError({ status: 404, code: 'unknown_event', detail });
}
