import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ProblemError } from '../problem.ts';
import type { EventFilter, Queue } from '../queue/queue.ts';
import { EventQuery, readQuery, toFilter } from './event-query.ts';
import { unknownEvent } from './event-routes.ts';
import type { Redrives } from './redrives.ts';

/** Only dead letters are redriven, whatever else is asked for. */
export const RedriveQuery = EventQuery.omit({ status: true })
  .extend({ dryRun: z.boolean().default(false).meta({ description: 'Count only.' }) })
  .meta({ id: 'RedriveQuery' });

export const RedriveAnswer = z
  .object({ redriven: z.int(), dryRun: z.boolean().optional() })
  .meta({ id: 'RedriveAnswer' });

export const RedriveStarted = z
  .object({ id: z.string(), count: z.int() })
  .meta({ id: 'RedriveStarted', description: 'A redrive of many, under way.' });

export const RedriveProgress = z
  .object({
    id: z.string(),
    total: z.int().meta({ description: 'Dead letters that matched when it began.' }),
    done: z.int().meta({ description: 'How many of them are queued again.' }),
    status: z.enum(['running', 'done', 'cancelled']),
  })
  .meta({ id: 'RedriveProgress' });

type ById = { Params: { id: string } };

/** Dead letters back to the queue: one, or all that match. */
export async function redriveRoutes(
  app: FastifyInstance,
  { queue, redrives }: { queue: Queue; redrives: Redrives },
): Promise<void> {
  app.post<ById>('/events/:id/redrive', async (request) => {
    const { id } = request.params;
    const state = (await queue.states([id])).get(id);
    if (!state) throw unknownEvent(id);
    const redriven = await redrives.redrive([id]);
    if (redriven === 0) {
      const detail = `the event is ${state.status}: only dead letters can be redriven`;
      throw new ProblemError({ status: 409, code: 'not_dead', detail });
    }
    return { redriven };
  });

  app.post('/events/redrive', async (request, reply) => {
    const { dryRun, ...query } = readQuery(RedriveQuery, request.body ?? {});
    const filter: EventFilter = { ...toFilter(query), status: 'dead' };
    if (dryRun) return { redriven: await redrives.count(filter), dryRun };
    const started = await redrives.start(filter);
    if (started.kind === 'done') return { redriven: started.redriven, dryRun };
    const { id, total } = started.job;
    return reply.code(202).header('location', `/events/redrives/${id}`).send({ id, count: total });
  });

  app.get<ById>('/events/redrives/:id', async (request) => known(request.params.id, redrives.find(request.params.id)));

  app.delete<ById>('/events/redrives/:id', async (request) =>
    known(request.params.id, redrives.cancel(request.params.id)),
  );
}

function known<T>(id: string, job: T | undefined): T {
  if (job) return job;
  const detail = `no redrive ${id.slice(0, 40)} is known: it never was, or the service has started anew since; what it had not reached is still dead, and can be redriven again`;
  throw new ProblemError({ status: 404, code: 'unknown_redrive', detail });
}
