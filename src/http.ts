import Fastify, { type FastifyBaseLogger, type FastifyError, type FastifyInstance, LogController } from 'fastify';
import type { Logger } from 'pino';
import { ingestProblem } from './ingest/route.ts';
import type { Listeners } from './listeners.ts';
import { sendProblem } from './problem.ts';
import { createRequestIds } from './request-id.ts';

/** Fastify without routes: what every answer has in common, those of errors and unknown paths among them. */
export function createHttp({ listeners, log }: { listeners: Listeners; log: Logger }): FastifyInstance {
  const logger: FastifyBaseLogger = log;
  const http = Fastify({
    ...listeners.options,
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (parent) => parent, // lines name their request themselves; a logger per request costs more than they do
    genReqId: createRequestIds(),
    bodyLimit: 1_000_000,
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 }, // a person's key may be a long one
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that arrived before the end are answered
  });
  listeners.watch(http.server);
  http.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = ingestProblem(error);
    if (problem) return sendProblem(reply, problem);
    const { statusCode = 500 } = error;
    if (statusCode < 500) return sendProblem(reply, { status: statusCode, code: 'bad_request', detail: error.message });
    log.error({ err: error, requestId: request.id }, 'request.failed');
    return sendProblem(reply, {
      status: 500,
      code: 'internal_error',
      detail: `the service failed on this request; nothing of it is confirmed. Its logs say more under the request id ${request.id}`,
    });
  });
  http.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?')[0] ?? '';
    const allowed = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter((method) => http.hasRoute({ method, url: path }));
    if (allowed.length === 0) {
      const detail = `${request.method} ${path} is no route of this service; /openapi.yaml lists them`;
      return sendProblem(reply, { status: 404, code: 'not_found', detail });
    }
    const detail = `${path} takes ${allowed.join(' and ')}, not ${request.method}`;
    const problem = { status: 405, code: 'method_not_allowed', detail };
    return sendProblem(reply.header('allow', allowed.join(', ')), problem);
  });
  return http;
}
