import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { GateState } from './dispatch/gate.ts';
import type { Metrics } from './metrics.ts';
import type { Queue } from './queue/queue.ts';

export type HealthOptions = {
  queue: Queue;
  /** Whether this process dispatches. */
  dispatches: boolean;
  installations(): { id: string; isPaused: boolean; gate: GateState }[];
  metrics: Metrics;
  openapi(): string;
};

export const Liveness = z
  .object({ status: z.literal('ok') })
  .meta({ id: 'Liveness', description: 'The process answers.' });

export const ReadinessPart = z
  .object({
    ok: z.boolean(),
    reason: z.string().optional().meta({ description: 'Why not, for programs.' }),
    message: z.string().optional().meta({ description: 'Why not, for people.' }),
    remedy: z.string().optional().meta({ description: 'What to do about it.' }),
  })
  .meta({ id: 'ReadinessPart', description: 'Whether one part of the service can work.' });
type Part = z.infer<typeof ReadinessPart>;

export const Readiness = z
  .object({
    status: z.enum(['ready', 'not_ready']),
    store: ReadinessPart.meta({ description: 'Whether events can be kept.' }),
    dispatch: ReadinessPart.meta({ description: 'Whether events are sent to Intercom.' }),
  })
  .meta({ id: 'Readiness', description: 'What the service can do now.' });

/**
 * `/healthz`: the process answers. `/readyz`: it can store and dispatch, and if not, which part can't; with
 * `?only=store` it says whether events can be kept, which is what a load balancer should ask, since an installation
 * on hold goes on accepting.
 */
export async function healthRoutes(app: FastifyInstance, options: HealthOptions): Promise<void> {
  app.get('/healthz', async (_, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }));

  app.get<{ Querystring: { only?: string } }>('/readyz', async (request, reply) => {
    const parts = { store: storePart(), dispatch: dispatchPart() };
    const asked = request.query.only === 'store' ? [parts.store] : [parts.store, parts.dispatch];
    const isReady = asked.every(({ ok }) => ok);
    return reply
      .code(isReady ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ status: isReady ? 'ready' : 'not_ready', ...parts });
  });

  app.get('/metrics', async (_, reply) => reply.type(options.metrics.contentType).send(await options.metrics.render()));

  app.get('/openapi.yaml', async (_, reply) => reply.type('application/yaml').send(options.openapi()));

  function storePart(): Part {
    const health = options.queue.health();
    return health.ok ? { ok: true } : { ok: false, reason: 'cannot_store', message: health.reason };
  }

  /** Ready while one of the installations can deliver: the others' trouble must not take theirs away. */
  function dispatchPart(): Part {
    if (!options.dispatches)
      return { ok: true, reason: 'not_here', message: 'this process does not dispatch (ROLES): others do' };
    const all = options.installations();
    if (all.length === 0)
      return { ok: true, reason: 'no_installation', message: 'no Intercom workspace is installed yet' };
    const active = all.filter(({ isPaused }) => !isPaused);
    if (active.length === 0) return { ok: true, reason: 'paused', message: 'delivery is paused' };
    const held = active.flatMap(({ id, gate }) => (gate.open ? [] : [{ id, gate }]));
    const [first] = held;
    if (first === undefined) return { ok: true };
    const { reason, message, remedy } = first.gate;
    return {
      ok: held.length < active.length,
      reason,
      message: all.length === 1 ? message : `${first.id}: ${message}`,
      remedy,
    };
  }
}
