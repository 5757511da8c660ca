import type { FastifyReply, FastifyRequest } from 'fastify';

/** For every answer of the admin side; the page adds a policy of its own. */
export const secureHeaders = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

/** An answer for programs, shown by a browser in spite of it, loads and runs nothing. */
const apiHeaders = {
  ...secureHeaders,
  'content-security-policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
};

/** A hook, before the token is looked at, so that refusals carry them too. */
export async function addSecureHeaders(_: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.headers(apiHeaders);
}
