import { readFileSync } from 'node:fs';
import fastifyEnv from '@fastify/env';
import type { FastifyInstance } from 'fastify';
import { type MappingRules, noRules, parseMappingRules } from './intercom/mapping-rules.ts';
import { readTls, type TlsFiles } from './tls-files.ts';
import { type DatabaseSettings, readDatabase } from './config/database.ts';
import { ConfigError, Environment, type Role, roles, variableNames } from './config/environment.ts';
import type { Region } from './config/regions.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

export type Config = Readonly<{
  /** The default installation; null when no token is set. */
  intercom: Readonly<{ accessToken: string; region: Region | null }> | null;
  /** Instead of the region's host; for a simulator. */
  intercomApiUrl: string | null;
  intercomVersion: string;
  quotaShare: number;
  concurrency: number;
  /** With so many events waiting to be sent, no more are taken. */
  maxQueuedEvents: number;
  host: string;
  port: number;
  /** A port of its own for everything but /ingest, probes and metrics; null: one port for all. */
  admin: Readonly<{ host: string; port: number }> | null;
  /** null: plain HTTP. */
  tls: TlsFiles | null;
  logLevel: Environment['LOG_LEVEL'];
  database: DatabaseSettings;
  /** What this process does; with an embedded database it is all. */
  roles: Readonly<Record<Role, boolean>>;
  ingestAuth: IngestAuth;
  /** The newest first; none: one is made, and kept beside the embedded database. */
  encryptionKeys: readonly Buffer[];
  /** null: one is made, and kept beside the embedded database. */
  adminToken: string | null;
  consentCategory: Environment['CONSENT_CATEGORY'];
  marketingEvents: readonly string[];
  consentWhenAbsent: Environment['CONSENT_WHEN_ABSENT'];
  anonymousEvents: Environment['ANONYMOUS_EVENTS'];
  anonymousHoldMs: number;
  createAttributes: boolean;
  retentionMs: number;
  deadLetterMs: number;
  eventNaming: Environment['EVENT_NAMING'];
  mappingRules: MappingRules;
  ingestWaitMs: number;
  retryMaxAgeMs: number;
  alerts: AlertSettings;
}>;

export type AlertSettings = Readonly<{
  webhookUrl: string | null;
  backlogMs: number;
  /** null: no traffic is no alert. */
  silenceMs: number | null;
}>;

export type IngestAuth = Readonly<{
  tokens: readonly string[];
  basic: readonly string[];
  hmacSecrets: readonly string[];
  /** Without any credential: whether others than this machine may send. */
  open: boolean;
}>;

/** Loads the environment (and .env, which process variables outweigh) into a typed, frozen configuration. */
export async function loadConfig(app: FastifyInstance): Promise<Config> {
  await app.register(fastifyEnv, {
    confKey: 'environment',
    dotenv: true,
    schema: {
      type: 'object',
      properties: Object.fromEntries(variableNames.map((name) => [name, { type: 'string' }])),
    },
  });
  await app.after();
  return readConfig(app.getDecorator('environment'));
}

/** Types and checks variables; throws a `ConfigError` that lists every problem. */
export function readConfig(variables: Record<string, string | undefined>): Config {
  const set = Object.fromEntries(
    Object.entries(variables)
      .map(([name, value]) => [name, value?.trim()])
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const parsed = Environment.safeParse(set);
  if (!parsed.success)
    throw new ConfigError(parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`));
  const env = parsed.data;
  const problems: string[] = [];
  if (env.INTERCOM_ACCESS_TOKEN && !env.INTERCOM_REGION && !env.INTERCOM_API_URL) {
    problems.push('INTERCOM_REGION is missing: set us, eu or au, where your Intercom workspace is hosted');
  }
  if (!env.INTERCOM_ACCESS_TOKEN && env.INTERCOM_REGION) {
    problems.push('INTERCOM_ACCESS_TOKEN is missing: INTERCOM_REGION is set, the token of that workspace is not');
  }
  const database = readDatabase(env);
  if (database.kind === 'postgres') requireSecrets(env, problems);
  else if (roles.some((role) => !env.ROLES.includes(role))) {
    problems.push(
      'ROLES must be ingest,dispatch,console, or unset: an embedded database belongs to one process, which does all. To part them, set DATABASE_URL=postgres://…',
    );
  }
  if (env.ADMIN_PORT !== undefined && env.ADMIN_PORT === env.PORT && env.PORT !== 0)
    problems.push('ADMIN_PORT is the same as PORT: choose another one, or leave it out for one port for all');
  const tls = tlsFiles(env, problems);
  const mappingRules = readRules(env.MAPPING_FILE, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze({
    intercom: installation(env),
    intercomApiUrl: env.INTERCOM_API_URL ?? null,
    intercomVersion: env.INTERCOM_VERSION,
    quotaShare: env.INTERCOM_QUOTA_SHARE,
    concurrency: env.INTERCOM_CONCURRENCY,
    maxQueuedEvents: env.QUEUE_MAX_EVENTS,
    host: env.HOST,
    port: env.PORT,
    admin: env.ADMIN_PORT === undefined ? null : Object.freeze({ host: env.ADMIN_HOST, port: env.ADMIN_PORT }),
    tls,
    logLevel: env.LOG_LEVEL,
    database,
    roles: Object.freeze({
      ingest: env.ROLES.includes('ingest'),
      dispatch: env.ROLES.includes('dispatch'),
      console: env.ROLES.includes('console'),
    }),
    ingestAuth: Object.freeze({
      tokens: env.INGEST_TOKEN ?? [],
      basic: env.INGEST_BASIC ?? [],
      hmacSecrets: env.INGEST_HMAC_SECRET ?? [],
      open: env.INGEST_AUTH === 'none',
    }),
    encryptionKeys: (env.ENCRYPTION_KEY ?? []).filter((key) => key !== undefined),
    adminToken: env.ADMIN_TOKEN ?? null,
    consentCategory: env.CONSENT_CATEGORY,
    marketingEvents: env.MARKETING_EVENTS,
    consentWhenAbsent: env.CONSENT_WHEN_ABSENT,
    anonymousEvents: env.ANONYMOUS_EVENTS,
    anonymousHoldMs: env.ANONYMOUS_HOLD_HOURS * hourMs,
    createAttributes: env.CREATE_ATTRIBUTES,
    retentionMs: env.RETENTION_DAYS * 24 * hourMs,
    deadLetterMs: env.DEAD_LETTER_DAYS * 24 * hourMs,
    eventNaming: env.EVENT_NAMING,
    mappingRules,
    ingestWaitMs: env.INGEST_WAIT_MS,
    retryMaxAgeMs: env.RETRY_MAX_AGE_HOURS * hourMs,
    alerts: Object.freeze({
      webhookUrl: env.ALERT_WEBHOOK_URL ?? null,
      backlogMs: env.ALERT_BACKLOG_MINUTES * minuteMs,
      silenceMs: env.ALERT_SILENCE_MINUTES === undefined ? null : env.ALERT_SILENCE_MINUTES * minuteMs,
    }),
  });
}

function installation(env: Environment): Config['intercom'] {
  if (!env.INTERCOM_ACCESS_TOKEN) return null;
  return Object.freeze({ accessToken: env.INTERCOM_ACCESS_TOKEN, region: env.INTERCOM_REGION ?? null });
}

/** For who needs no other setting; throws a `ConfigError`. */
export function readDatabaseUrl(text: string): DatabaseSettings {
  const parsed = Environment.pick({ DATABASE_URL: true, DATABASE_CONNECTIONS: true }).safeParse({ DATABASE_URL: text });
  if (!parsed.success) throw new ConfigError(parsed.error.issues.map(({ message }) => `DATABASE_URL ${message}`));
  return readDatabase(parsed.data);
}

/** Beside an embedded database they are made and kept in files; replicas have none, and must agree on them. */
function requireSecrets(env: Environment, problems: string[]): void {
  if (!env.ENCRYPTION_KEY)
    problems.push(
      'ENCRYPTION_KEY is missing: with PostgreSQL every replica needs the same one. Make it once: openssl rand -base64 32',
    );
  if (!env.ADMIN_TOKEN)
    problems.push(
      'ADMIN_TOKEN is missing: with PostgreSQL every replica needs the same one. Make it once: openssl rand -hex 24',
    );
}

/** The files are looked at here as well, so that what is wrong with them is one line at the start. */
function tlsFiles(
  { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile }: Environment,
  problems: string[],
): TlsFiles | null {
  if (certFile === undefined && keyFile === undefined) return null;
  if (certFile === undefined || keyFile === undefined) {
    const missing = certFile === undefined ? 'TLS_CERT_FILE' : 'TLS_KEY_FILE';
    problems.push(`${missing} is missing: TLS needs the certificate and its key`);
    return null;
  }
  const files = Object.freeze({ certFile, keyFile });
  try {
    readTls(files);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  return files;
}

function readRules(path: string | undefined, problems: string[]): MappingRules {
  if (path === undefined) return noRules;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    problems.push(`MAPPING_FILE can't be read: ${error instanceof Error ? error.message : String(error)}`);
    return noRules;
  }
  const parsed = parseMappingRules(text);
  if (parsed.ok) return parsed.rules;
  problems.push(...parsed.problems.map((problem) => `MAPPING_FILE: ${problem}`));
  return noRules;
}
