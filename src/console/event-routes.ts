import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../problem.ts';
import type { EventFilter, Queue } from '../queue/queue.ts';
import { toDetail, toSummary } from './event-answers.ts';
import { EventQuery, readQuery, someText, toFilter } from './event-query.ts';
import type { Live } from './live.ts';

const Page = EventQuery.extend({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: someText.optional(),
});

/** Only dead letters are redriven, whatever else is asked for. */
export const RedriveQuery = EventQuery.omit({ status: true })
  .extend({ dryRun: z.boolean().default(false).meta({ description: 'Count only.' }) })
  .meta({ id: 'RedriveQuery' });

/** Explanations travel with the events, so that nobody has to look a reason up. */
export async function eventRoutes(
  app: FastifyInstance,
  { queue, live }: { queue: Queue; live: Pick<Live, 'changed'> },
): Promise<void> {
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

  app.post<{ Params: { id: string } }>('/events/:id/redrive', async (request) => {
    const { id } = request.params;
    const state = (await queue.states([id])).get(id);
    if (!state) throw unknownEvent(id);
    const redriven = await redrive([id]);
    if (redriven === 0) {
      const detail = `the event is ${state.status}: only dead letters can be redriven`;
      throw new ProblemError({ status: 409, code: 'not_dead', detail });
    }
    return { redriven };
  });

  app.post('/events/redrive', async (request) => {
    const { dryRun, ...query } = readQuery(RedriveQuery, request.body ?? {});
    const filter: EventFilter = { ...toFilter(query), status: 'dead' };
    return { redriven: await redriveAll(filter, dryRun), dryRun };
  });

  async function redrive(ids: string[]): Promise<number> {
    const redriven = await queue.redrive(ids);
    live.changed(ids.map((id) => ({ id, status: 'queued', reason: null })));
    return redriven;
  }

  /** Page by page; what dies again meanwhile is newer to the walk than where it stands, and is not met twice. */
  async function redriveAll(filter: EventFilter, dryRun: boolean): Promise<number> {
    let count = 0;
    let before: string | null = null;
    do {
      const page: Awaited<ReturnType<Queue['find']>> = await queue.find(filter, { limit: 200, before });
      const ids = page.events.map(({ id }) => id);
      count += dryRun ? ids.length : await redrive(ids);
      before = page.next;
    } while (before !== null);
    return count;
  }
}

function unknownEvent(id: string): ProblemError {
  const detail = `no event ${id.slice(0, 40)} is kept: it never was, or its time (RETENTION_DAYS, DEAD_LETTER_DAYS) is over`;
  return new ProblemError({ status: 404, code: 'unknown_event', detail });
}
