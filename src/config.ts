import { readFileSync } from 'node:fs';
import fastifyEnv from '@fastify/env';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { standardKey } from './ingest/signature.ts';
import { readKey } from './installations/vault.ts';
import { type MappingRules, noRules, parseMappingRules } from './intercom/mapping-rules.ts';
import { readTls, type TlsFiles } from './tls-files.ts';

/** Intercom's API hosts by region (developers.intercom.com, REST API, "Regional hosting"). */
export const regionUrls = {
  us: 'https://api.intercom.io',
  eu: 'https://api.eu.intercom.io',
  au: 'https://api.au.intercom.io',
} as const;

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

export type Region = keyof typeof regionUrls;
const regions: readonly Region[] = ['us', 'eu', 'au'];

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
const port = z.coerce.number().int().min(0).max(65_535);
const count = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

const minutes = z.coerce
  .number()
  .gt(0)
  .max(24 * 60 * 30);

const filePath = z
  .string()
  .startsWith('file:')
  .transform((url) => url.slice('file:'.length).replace(/^\/\//, ''));
const databaseUrl = z
  .string()
  .refine((url) => /^(file|postgres|postgresql):/.test(url), {
    error: 'must be file:<path>, the embedded database, or postgres://user:password@host:5432/database',
  })
  .refine((url) => !url.startsWith('file:') || filePath.parse(url) !== '', {
    error: 'names no file: use file:./data/signal-intercom.db',
  })
  .refine((url) => url.startsWith('file:') || isPostgresUrl(url), {
    error:
      'is no URL of one PostgreSQL server: postgres://user:password@host:5432/database?sslmode=verify-full, with %40 for an @ in the password',
  });

const roles = ['ingest', 'dispatch', 'console'] as const;
const isRole = (name: string): name is Role => roles.some((role) => role === name);
const roleList = list
  .refine((names) => names.length > 0 && names.every(isRole), {
    error: 'can only be ingest, dispatch, console, or some of them with commas between',
  })
  .transform((names) => names.filter(isRole));

const apiUrl = z
  .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
  .transform((url) => url.replace(/\/+$/, ''));

/** The environment. Names are part of the public contract. */
const Environment = z.object({
  INTERCOM_ACCESS_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]+$/, { error: 'holds characters that no token has' })
    .optional(),
  INTERCOM_REGION: z.enum(['us', 'eu', 'au'], { error: 'must be us, eu or au' }).optional(),
  INTERCOM_API_URL: apiUrl.optional(),
  INTERCOM_VERSION: z
    .string()
    .regex(/^(\d+\.\d+|Preview)$/, { error: 'must be a version such as 2.11' })
    .default('2.11'),
  INTERCOM_QUOTA_SHARE: z.coerce.number().gt(0).max(1).default(1),
  INTERCOM_CONCURRENCY: count(1, 1000).default(64),
  QUEUE_MAX_EVENTS: count(1, 1_000_000_000).default(2_000_000),
  HOST: z.string().default('127.0.0.1'),
  PORT: port.default(8080),
  ADMIN_HOST: z.string().default('127.0.0.1'),
  ADMIN_PORT: port.optional(),
  TLS_CERT_FILE: z.string().optional(),
  TLS_KEY_FILE: z.string().optional(),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  DATABASE_URL: databaseUrl.default('file:./data/signal-intercom.db'),
  DATABASE_CONNECTIONS: count(2, 1000).default(10),
  ROLES: roleList.prefault(roles.join(',')),
  ENCRYPTION_KEY: list
    .transform((keys) => keys.map(readKey))
    .refine((keys) => keys.every((key) => key !== undefined), {
      error:
        'must be 32 bytes as base64 or 64 hex digits (openssl rand -base64 32); while rotating, the new one, a comma, the old one',
    })
    .optional(),
  ADMIN_TOKEN: z.string().min(16, { error: 'must have at least 16 characters' }).optional(),
  INGEST_TOKEN: list.optional(),
  INGEST_BASIC: list
    .refine((pairs) => pairs.every((pair) => pair.includes(':')), { error: 'must be user:password' })
    .optional(),
  INGEST_HMAC_SECRET: list
    .refine((secrets) => secrets.every(isUsableSecret), {
      error: 'must have base64 of 16 bytes or more after whsec_, as Standard Webhooks has it',
    })
    .optional(),
  INGEST_AUTH: z.enum(['none'], { error: 'can only be none' }).optional(),
  CONSENT_CATEGORY: z
    .enum(['functional', 'marketing'], { error: 'must be functional or marketing' })
    .default('functional'),
  MARKETING_EVENTS: list.prefault(''),
  CONSENT_WHEN_ABSENT: z.enum(['allow', 'deny'], { error: 'must be allow or deny' }).default('allow'),
  ANONYMOUS_EVENTS: z.enum(['reject', 'filter', 'hold'], { error: 'must be reject, filter or hold' }).default('reject'),
  ANONYMOUS_HOLD_HOURS: z.coerce
    .number()
    .gt(0)
    .max(24 * 30)
    .default(24),
  CREATE_ATTRIBUTES: z.stringbool({ error: 'must be true or false' }).default(false),
  RETENTION_DAYS: z.coerce.number().gt(0).max(3650).default(7),
  DEAD_LETTER_DAYS: z.coerce.number().gt(0).max(3650).default(30),
  EVENT_NAMING: z.enum(['preserve', 'snake_case'], { error: 'must be preserve or snake_case' }).default('preserve'),
  MAPPING_FILE: z.string().optional(),
  INGEST_WAIT_MS: count(0, 60_000).default(1000),
  RETRY_MAX_AGE_HOURS: z.coerce
    .number()
    .gt(0)
    .max(24 * 365)
    .default(72),
  ALERT_WEBHOOK_URL: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).optional(),
  ALERT_BACKLOG_MINUTES: minutes.default(10),
  ALERT_SILENCE_MINUTES: minutes.optional(),
});

/** What is no base64 decodes to few bytes or none, and everybody can sign with those. */
function isUsableSecret(secret: string): boolean {
  return !secret.startsWith('whsec_') || standardKey(secret).length >= 16;
}

export const variableNames: readonly string[] = Object.keys(Environment.shape);

type Environment = z.output<typeof Environment>;

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

export type Role = (typeof roles)[number];

/** The URL holds a password: `describeDatabase` tells of it without. */
export type DatabaseSettings = Readonly<
  { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string; connections: number }
>;

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

/** All that is wrong with the environment, a line each, with the variable's name and never its value. */
export class ConfigError extends Error {
  readonly problems: string[];
  constructor(problems: string[]) {
    super(["The configuration can't be used:", ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

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

function readDatabase({
  DATABASE_URL: url,
  DATABASE_CONNECTIONS: connections,
}: Pick<Environment, 'DATABASE_URL' | 'DATABASE_CONNECTIONS'>): DatabaseSettings {
  return Object.freeze(
    url.startsWith('file:')
      ? { kind: 'sqlite' as const, path: filePath.parse(url) }
      : { kind: 'postgres' as const, url, connections },
  );
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

function isPostgresUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hostname.includes(',')) return false; // libpq would take several hosts, this driver does not
  return (url.hostname !== '' || url.searchParams.has('host')) && url.pathname.length > 1;
}

/** The path that files beside the database begin with; null where there are none. */
export function pathBeside({ database }: Pick<Config, 'database'>): string | null {
  return database.kind === 'sqlite' ? database.path : null;
}

/** For logs and people: where the database is, without its user and password. */
export function describeDatabase(database: DatabaseSettings): string {
  if (database.kind === 'sqlite') return database.path;
  const { host, pathname, searchParams } = new URL(database.url);
  return `PostgreSQL at ${host || searchParams.get('host')}${pathname}`;
}

/** Where an installation's calls go. */
export function apiUrlOf({ intercomApiUrl }: Pick<Config, 'intercomApiUrl'>, region: Region | null): string {
  return intercomApiUrl ?? regionUrls[region ?? 'us'];
}

/** Every region's host; none where a simulator stands in for all of them. */
export function regionHosts({ intercomApiUrl }: Pick<Config, 'intercomApiUrl'>): { region: Region; baseUrl: string }[] {
  if (intercomApiUrl !== null) return [];
  return regions.map((region) => ({ region, baseUrl: regionUrls[region] }));
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
