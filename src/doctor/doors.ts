import { statSync } from 'node:fs';
import type { Config } from '../config.ts';
import { pathBeside } from '../config/database.ts';
import { type Check, fail, ok, warn } from './check.ts';

const shortSecret = 16;

/** Who may send events. */
export function checkSenders({ ingestAuth, host }: Config): Check {
  const { tokens, basic, hmacSecrets, open } = ingestAuth;
  const set = [
    ...(tokens.length > 0 ? ['INGEST_TOKEN'] : []),
    ...(basic.length > 0 ? ['INGEST_BASIC'] : []),
    ...(hmacSecrets.length > 0 ? ['INGEST_HMAC_SECRET'] : []),
  ];
  const listens = isLoopback(host) ? 'listens to this machine alone' : `listens on ${host}`;
  if (set.length > 0) {
    const passwords = basic.map((pair) => pair.slice(pair.indexOf(':') + 1));
    const isShort = [...tokens, ...hmacSecrets, ...passwords].some((secret) => secret.length < shortSecret);
    const told = `${listens}; senders present ${set.join(' or ')}`;
    if (!isShort) return ok('senders', told);
    return warn(
      'senders',
      `${told}, one of them short`,
      `use ${shortSecret} random characters or more: openssl rand -hex 24`,
    );
  }
  if (isLoopback(host)) return ok('senders', `${listens}; no credential is needed`);
  if (open) {
    const remedy = 'set INGEST_TOKEN, unless a proxy of yours keeps strangers away';
    return warn('senders', `${listens}, and INGEST_AUTH=none lets everybody who reaches it send events`, remedy);
  }
  const remedy = 'set INGEST_TOKEN, and the same as the bearer token of the webhook in Signal';
  return warn('senders', `${listens}, but without a credential others than this machine are answered 401`, remedy);
}

export function checkAdminToken(config: Config): Check {
  const beside = pathBeside(config);
  if (config.adminToken !== null || beside === null) return ok('admin token', 'ADMIN_TOKEN is set');
  const path = `${beside}.admin-token`;
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  if (mode === undefined) return ok('admin token', `none is set: one is made at the first start and kept in ${path}`);
  if ((mode & 0o077) !== 0)
    return fail('admin token', `others on this machine can read it in ${path}`, `chmod 600 ${path}`);
  return ok('admin token', `kept in ${path}`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
