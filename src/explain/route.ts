import type { FastifyInstance } from 'fastify';
import { limits, readBody } from '../ingest/body.ts';
import { ProblemError } from '../problem.ts';
import { explainEvents, type ExplainOptions, type Installation } from './explain.ts';

export type ExplainRouteOptions = ExplainOptions & {
  /** The installation of that id, or without one that which /ingest feeds; null where there is none. */
  installation(id: string | undefined): Installation | null;
};

/** `POST /explain`: the bodies of /ingest; sends nothing and keeps nothing. */
export async function explainRoutes(app: FastifyInstance, options: ExplainRouteOptions): Promise<void> {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    /^application\/([\w.-]+\+)?json\s*(;|$)/i,
    { parseAs: 'buffer', bodyLimit: limits.bodyBytes },
    (_, body, done) => done(null, body),
  );

  app.post<{ Querystring: { installation?: string } }>('/explain', async (request) => {
    const id = request.query.installation;
    const installation = options.installation(id);
    if (!installation) throw noInstallation(id);
    const rawBody = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const raws = await readBody(rawBody, request.headers['content-encoding']);
    const keys = [request.headers['webhook-id'], request.headers['idempotency-key']].flat();
    const requestKey = raws.length > 1 ? undefined : keys.find((key) => key !== undefined && key.trim() !== '');
    return { events: await explainEvents(raws, installation, requestKey, options) };
  });
}

function noInstallation(id: string | undefined): ProblemError {
  const detail = `there is no installation ${id?.slice(0, 60) ?? ''}: name one with ?installation=, set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION, or install one`;
  return new ProblemError({ status: 404, code: 'no_installation', detail });
}
