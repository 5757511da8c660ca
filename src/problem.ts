import { STATUS_CODES } from 'node:http';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';

/** An answer of `application/problem+json` (RFC 9457): what happened, why, and what to do next. */
export type Problem = {
  status: number;
  code: string;
  detail: string;
  /** Each single thing that is wrong, where there are several. */
  errors?: { code: string; message: string; path?: string; index?: number }[];
  retryAfterSeconds?: number;
};

/** The problem as it is sent. */
export const ProblemBody = z
  .looseObject({
    type: z.string().meta({ description: '`urn:signal-intercom:problem:` and the code.' }),
    title: z.string().meta({ description: 'What the status means.' }),
    status: z.int(),
    code: z.string().meta({ description: 'Which problem it is, for programs.' }),
    detail: z.string().meta({ description: 'What happened and what to do about it, for people.' }),
    errors: z
      .array(
        z.object({
          index: z.int().optional().meta({ description: 'The place of the event in the request, from 0.' }),
          code: z.string(),
          message: z.string(),
          path: z.string().optional().meta({ description: 'The field; empty where it is the event as a whole.' }),
        }),
      )
      .optional()
      .meta({ description: 'Each single thing that is wrong.' }),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457).' });

export function sendProblem(reply: FastifyReply, problem: Problem, more: Record<string, unknown> = {}): FastifyReply {
  const { status, code, detail, errors, retryAfterSeconds } = problem;
  if (retryAfterSeconds !== undefined) reply.header('retry-after', retryAfterSeconds);
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
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
