import underPressure from '@fastify/under-pressure';
import type { FastifyInstance } from 'fastify';
import { ProblemError } from '../problem.ts';

/** Of the event loop, on the average of a second: who came now would wait as long for each step of an answer. */
const latestMs = 1000;
/** A process that was stopped for a moment looks late for a second, and isn't. */
const patienceMs = 1500;
const againWithinMs = 3000;

/** Takes no request of these routes while the event loop is late, and stays so: 429, to come again in a second. */
export async function refuseWhileLate(app: FastifyInstance): Promise<void> {
  let sinceMs = -Infinity;
  let seenAtMs = -Infinity;
  await app.register(underPressure, {
    maxEventLoopDelay: latestMs,
    pressureHandler() {
      const nowMs = performance.now();
      if (nowMs - seenAtMs > againWithinMs) sinceMs = nowMs;
      seenAtMs = nowMs;
      if (nowMs - sinceMs < patienceMs) return undefined;
      return Promise.reject(
        new ProblemError({
          status: 429,
          code: 'overloaded',
          detail: `the service is more than ${latestMs / 1000} s behind with its work; nothing was kept, send again later`,
          retryAfterSeconds: 1,
        }),
      );
    },
  });
}
