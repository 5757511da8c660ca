import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';

/** An answer of `application/problem+json` (RFC 9457): what happened, why, and what to do next. */
export type Problem = {
  status: number;
  code: string;
  detail: string;
  /** Each single thing that is wrong, where there are several. */
  errors?: { code: string; message: string; path?: string; index?: number }[];
  retryAfterSeconds?: number;
};

export function sendProblem(reply: FastifyReply, problem: Problem, more: Record<string, unknown> = {}): FastifyReply {
  const { status, code, detail, errors, retryAfterSeconds } = problem;
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(
      JSON.stringify({
        type: `urn:signal-intercom:problem:${code}`,
        title: STATUS_CODES[status] ?? 'Error',
        status,
        code,
        detail,
        ...(errors && { errors }),
        ...more,
      }),
    );
}

/** Thrown where a request can't be gone on with; the error handler answers it. */
export class ProblemError extends Error {
  readonly problem: Problem;
  constructor(problem: Problem) {
    super(problem.detail);
    this.name = 'ProblemError';
    this.problem = problem;
  }
}
