import type { FastifyInstance } from 'fastify';
import { jobsEach } from '../dispatch/dispatcher.ts';
import { explainRoutes } from '../explain/route.ts';
import type { AcceptOptions } from '../ingest/accept.ts';
import { holdOf, statusOf } from '../installations/answers.ts';
import type { Installations } from '../installations/registry.ts';
import { managementRoutes, sendError } from '../installations/routes.ts';
import { peopleRoutes } from '../people/routes.ts';
import { sendProblem } from '../problem.ts';
import type { Queue } from '../queue/queue.ts';
import type { Activity } from './activity.ts';
import { createAdminGuard } from './admin-token.ts';
import { eventRoutes } from './event-routes.ts';
import { eventStreamRoute } from './event-stream.ts';
import type { Live } from './live.ts';
import { overviewRoute, type OverviewOptions } from './overview.ts';
import { pageRoutes } from './page-routes.ts';
import { redriveRoutes } from './redrive-routes.ts';
import type { Redrives } from './redrives.ts';
import { addSecureHeaders } from './secure-headers.ts';

export type ConsoleOptions = {
  adminToken: string;
  queue: Queue;
  redrives: Redrives;
  live: Live;
  installations: Installations;
  accept: AcceptOptions;
  activity: Activity;
  replicas: OverviewOptions['replicas'];
  waitMs: number;
  version: string;
};

/** The page, and what it and people with the admin token ask: nothing of it is for senders. */
export async function consoleRoutes(app: FastifyInstance, options: ConsoleOptions): Promise<void> {
  const { queue, redrives, live, installations, accept, activity, replicas, waitMs, version } = options;
  const guard = createAdminGuard(options.adminToken);

  await app.register(async (guarded) => {
    const refuse = guard((reply, { status, detail }) =>
      sendProblem(reply, { status, code: status === 401 ? 'unauthorized' : 'too_many_failures', detail }),
    );
    guarded.addHook('onRequest', addSecureHeaders);
    guarded.addHook('onRequest', refuse);
    await guarded.register(eventRoutes, { queue });
    await guarded.register(redriveRoutes, { queue, redrives });
    await guarded.register(eventStreamRoute, { live });
    await guarded.register(peopleRoutes, {
      queue,
      hasInstallation: (id) => installations.get(id) !== undefined,
      waitMs,
      onErasure: (id) => live.changed([{ id, status: 'queued', reason: null }]),
    });
    await guarded.register(explainRoutes, {
      queue,
      accept,
      jobsEach,
      installation(id) {
        const found = id === undefined ? installations.forIngest() : installations.get(id);
        if (!found) return null;
        const { destination } = found.delivery;
        return { id: found.id, destination, hold: holdOf(found.settings.enabled, found.delivery.gate()) };
      },
    });
    await guarded.register(overviewRoute, {
      queue,
      activity,
      replicas,
      installations: () =>
        installations.list().map(({ id, settings, delivery }) => ({
          id,
          name: settings.name,
          status: statusOf(settings.enabled, delivery.gate()),
          hold: holdOf(settings.enabled, delivery.gate()),
          quota: delivery.quota(),
        })),
      version,
    });
  });

  await app.register(async (guarded) => {
    const refuse = guard((reply, { status, detail }) =>
      sendError(reply, status, status === 401 ? 'INVALID_TOKEN' : 'RATE_LIMITED', detail),
    );
    guarded.addHook('onRequest', addSecureHeaders);
    guarded.addHook('onRequest', refuse);
    await guarded.register(managementRoutes, { installations, queue });
  });

  await app.register(pageRoutes);
}
