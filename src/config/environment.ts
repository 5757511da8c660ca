import { z } from 'zod';
import { standardKey } from '../ingest/signature.ts';
import { readKey } from '../installations/vault.ts';
import { databaseConnections, databaseUrl } from './database.ts';

export const roles = ['ingest', 'dispatch', 'console'] as const;
export type Role = (typeof roles)[number];

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
export const Environment = z.object({
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
  DATABASE_CONNECTIONS: databaseConnections,
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

export type Environment = z.output<typeof Environment>;

/** All that is wrong with the environment, a line each, with the variable's name and never its value. */
export class ConfigError extends Error {
  readonly problems: string[];
  constructor(problems: string[]) {
    super(["The configuration can't be used:", ...problems.map((problem) => `  - ${problem}`)].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}
