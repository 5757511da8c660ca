import type { FastifyInstance, FastifyRequest } from 'fastify';
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
    await audit(request, 'events.redriven', '*', { event: id });
    return { redriven };
  });

  app.post('/events/redrive', async (request, reply) => {
    const { dryRun, ...query } = readQuery(RedriveQuery, request.body ?? {});
    const filter: EventFilter = { ...toFilter(query), status: 'dead' };
    if (dryRun) return { redriven: await redrives.count(filter), dryRun };
    const started = await redrives.start(filter);
    // Which people they were of is nobody's concern later on.
    const { userId: _, email: __, text: ___, messageId: ____, ...asked } = query;
    const count = started.kind === 'done' ? started.redriven : started.job.total;
    await audit(request, 'events.redriven', query.installation ?? '*', { ...asked, count });
    if (started.kind === 'done') return { redriven: started.redriven, dryRun };
    const { id, total } = started.job;
    return reply.code(202).header('location', `/events/redrives/${id}`).send({ id, count: total });
  });

  app.get<ById>('/events/redrives/:id', async (request) =>
    known(request.params.id, await redrives.find(request.params.id)),
  );

  app.delete<ById>('/events/redrives/:id', async (request) => {
    const { id } = request.params;
    const cancelled = known(id, await redrives.cancel(id));
    await audit(request, 'redrive.cancelled', '*', { redrive: id, done: cancelled.done });
    return cancelled;
  });

  async function audit(request: FastifyRequest, action: string, resource: string, what: object): Promise<void> {
    const changes = Object.fromEntries(Object.entries(what).map(([key, value]) => [key, { old: null, new: value }]));
    await queue.keepAudit({
      atMs: Date.now(),
      action,
      resource,
      changes: JSON.stringify(changes),
      ipAddress: request.ip,
      userAgent: (request.headers['user-agent'] ?? '').slice(0, 200),
    });
  }
}

function known<T>(id: string, job: T | undefined): T {
  if (job) return job;
  const detail = `no redrive ${id.slice(0, 40)} is known: it never was, or the service has started anew since; what it had not reached is still dead, and can be redriven again`;
  throw new ProblemError({ status: 404, code: 'unknown_redrive', detail });
}
