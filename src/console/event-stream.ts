import type { OutgoingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { ProblemError } from '../problem.ts';
import { EventQuery, readQuery, toFilter } from './event-query.ts';
import type { Live } from './live.ts';

/** `GET /events/stream`: what happens to events, as it happens. */
export async function eventStreamRoute(app: FastifyInstance, { live }: { live: Live }): Promise<void> {
  app.get('/events/stream', { exposeHeadRoute: false }, async (request, reply) => {
    const filter = toFilter(readQuery(EventQuery, request.query));
    if (!live.hasRoom()) {
      const detail = 'too many consoles watch this service already: close some of them';
      throw new ProblemError({ status: 503, code: 'too_many_streams', detail, retryAfterSeconds: 5 });
    }
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      ...(reply.getHeaders() as OutgoingHttpHeaders),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
    });
    const lastEventId = request.headers['last-event-id'];
    const leave = live.subscribe(
      {
        filter,
        isReady: () => !raw.writableNeedDrain,
        send: (bytes) => void raw.write(bytes),
        // What a slow reader has not taken yet must not keep the connection open.
        end: () => void (raw.writableLength > 0 ? raw.destroy() : raw.end()),
      },
      typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : null,
    );
    raw.once('close', leave);
  });
}
