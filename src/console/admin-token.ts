import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { createFailedTokens, type FailedTokens } from './failed-tokens.ts';

/** The configured token, or one that is made once and kept beside the database, readable by its owner alone. */
export function loadAdminToken(
  configured: string | null,
  beside: string | null,
): { token: string; madeIn: string | null } {
  if (configured !== null) return { token: configured, madeIn: null };
  if (beside === null) throw new Error('ADMIN_TOKEN is missing');
  const path = `${beside}.admin-token`;
  try {
    return { token: readFileSync(path, 'utf8').trim(), madeIn: null };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  const token = randomBytes(24).toString('base64url');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${token}\n`, { mode: 0o600, flag: 'wx' });
  return { token, madeIn: path };
}

export type Refusal = { status: 401 | 429; detail: string };

/** Refuses whoever does not present the token; `refuse` says it in the words of its routes. */
export function createAdminGuard(token: string, failed: FailedTokens = createFailedTokens()) {
  const expected = digest(token);
  return (refuse: (reply: FastifyReply, refusal: Refusal) => FastifyReply) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
      const given = /^bearer\s+(.+)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
      if (timingSafeEqual(digest(given), expected)) return undefined;
      const waitSeconds = failed.count(request.ip);
      if (waitSeconds !== null)
        return refuse(reply.header('retry-after', waitSeconds), { status: 429, detail: tooManyFailures });
      return refuse(reply.header('www-authenticate', 'Bearer'), { status: 401, detail: tokenMissing });
    };
}

const tokenMissing =
  'send the admin token: Authorization: Bearer <ADMIN_TOKEN>. Without ADMIN_TOKEN it stands in the file beside the database that ends in .admin-token';
const tooManyFailures =
  'too many requests with a wrong admin token came from this address: wait for the time that Retry-After says. The right token is let in at any time';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
