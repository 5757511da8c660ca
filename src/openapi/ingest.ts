import { limits } from '../ingest/body.ts';
import { answerExamples } from './answer-examples.ts';
import { requestExamples } from './request-examples.ts';

/** `/ingest` for OpenAPI: one operation under two methods, since the webhook can be set to either. */

const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });
const event = ref('schemas', 'Event');
const list = { type: 'array', minItems: 1, maxItems: limits.events, items: event };

const header = (name: string, description: string, schema: object, example?: string) => ({
  name,
  in: 'header',
  description,
  schema,
  ...(example !== undefined && { example }),
});
const text = { type: 'string' };

const parameters = {
  Prefer: header(
    'Prefer',
    'How long to wait for delivery (RFC 7240): `wait=N` in seconds, at most 60, or `respond-async` for not at all. By default as long as `INGEST_WAIT_MS` says. What delivery within that time is unlikely for is answered 202 at once.',
    text,
    'wait=5',
  ),
  IdempotencyKey: header(
    'Idempotency-Key',
    'Stands for the `messageId` of an event that has none and is sent by itself, not in a list. Not in a request that a signature authenticates, since none covers this header.',
    text,
    '7f0f2a0e-1a3c-4c5b-9d57-3f6f0a9f2c11',
  ),
  WebhookId: header(
    'webhook-id',
    'The same as Idempotency-Key, and goes before it; part of a Standard Webhooks signature, and beside another signature without effect.',
    text,
    'msg_2b6f',
  ),
  Signature: header('X-Signature', 'See the security scheme `signature`.', {
    type: 'string',
    pattern: '^sha256=[0-9a-fA-F]{64}$',
  }),
  Timestamp: header(
    'X-Timestamp',
    "Unix milliseconds, part of what is signed; within 5 minutes of this server's clock.",
    { type: 'string', pattern: '^[0-9]+$' },
    '1772029800000',
  ),
  ContentEncoding: header('Content-Encoding', 'How the body is compressed.', {
    type: 'string',
    enum: ['gzip', 'deflate', 'br', 'identity'],
  }),
};

const headers = {
  RetryAfter: {
    description: 'Seconds to wait before sending the same again.',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
  PreferenceApplied: { description: 'The part of `Prefer` that was followed.', schema: text, example: 'wait=5' },
  WwwAuthenticate: { description: 'A scheme that is accepted.', required: true, schema: text, example: 'Bearer' },
};
const preferenceApplied = { 'Preference-Applied': ref('headers', 'PreferenceApplied') };
const retryAfter = { 'Retry-After': ref('headers', 'RetryAfter') };

const answer = (description: string, status: keyof typeof answerExamples) => ({
  description,
  headers: preferenceApplied,
  content: { 'application/json': { schema: ref('schemas', 'IngestAnswer'), examples: answerExamples[status] } },
});
const problem = (
  description: string,
  status: keyof typeof answerExamples,
  schema: 'Problem' | 'IngestProblem',
  more: object = {},
) => ({
  description,
  ...(Object.keys(more).length > 0 && { headers: more }),
  content: { 'application/problem+json': { schema: ref('schemas', schema), examples: answerExamples[status] } },
});

const responses = {
  Settled: answer('Every event is settled: delivered, filtered, or the duplicate of a settled one.', 200),
  Kept: answer('Every event is kept, and one or more are still under way.', 202),
  Mixed: answer('Some events are kept and others refused; `events` says which.', 207),
  Invalid: problem(
    'Nothing is kept: it is invalid. `errors` lists all that is wrong with the events.',
    400,
    'IngestProblem',
  ),
  Unauthorized: problem('Not authenticated. Nothing is kept.', 401, 'Problem', {
    'WWW-Authenticate': ref('headers', 'WwwAuthenticate'),
  }),
  TooLarge: problem('The body, the event or the number of events is too large. Nothing is kept.', 413, 'IngestProblem'),
  UnsupportedMedia: problem('Not JSON, or compressed in a way that is not known. Nothing is kept.', 415, 'Problem'),
  Refused: problem(
    'Intercom refused every event for good; they are kept in the dead letters.',
    422,
    'IngestProblem',
    preferenceApplied,
  ),
  UnknownInstallation: problem('No installation has this id. Nothing is kept.', 404, 'Problem'),
  Overloaded: problem('More arrives than can be stored. Nothing is kept: send again.', 429, 'Problem', retryAfter),
  Unavailable: problem(
    'Nothing can be stored, or no Intercom workspace is installed. Nothing is kept: send again.',
    503,
    'Problem',
    retryAfter,
  ),
};

const securitySchemes = {
  admin: {
    type: 'http',
    scheme: 'bearer',
    description: 'The `ADMIN_TOKEN`; without one, the token in the file beside the database.',
  },
  bearer: { type: 'http', scheme: 'bearer', description: 'A token that `INGEST_TOKEN` lists.' },
  basic: { type: 'http', scheme: 'basic', description: 'A `user:password` that `INGEST_BASIC` lists.' },
  signature: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Signature',
    description:
      '`sha256=` and the hex HMAC-SHA256, keyed with `INGEST_HMAC_SECRET`, of `X-Timestamp`, a dot and the raw body; without `X-Timestamp`, of the body alone. The signature of Standard Webhooks (`webhook-id`, `webhook-timestamp`, `webhook-signature`) is accepted as well. A timestamp has to be within 5 minutes; the same request again within that time is a repeat, whose events are duplicates.',
  },
};

const operation = {
  tags: ['ingest'],
  security: [{ bearer: [] }, { basic: [] }, { signature: [] }, {}],
  requestBody: ref('requestBodies', 'Events'),
  responses: {
    200: ref('responses', 'Settled'),
    202: ref('responses', 'Kept'),
    207: ref('responses', 'Mixed'),
    400: ref('responses', 'Invalid'),
    401: ref('responses', 'Unauthorized'),
    413: ref('responses', 'TooLarge'),
    415: ref('responses', 'UnsupportedMedia'),
    422: ref('responses', 'Refused'),
    429: ref('responses', 'Overloaded'),
    503: ref('responses', 'Unavailable'),
  },
};

export const ingestPath = {
  parameters: Object.keys(parameters).map((name) => ref('parameters', name)),
  post: {
    operationId: 'ingest',
    summary: 'Send one event or several',
    description: `Answers once every event is settled, or when the time to wait is over. A 2xx means kept: the event is on disk, or settled.\n\nAt most ${limits.events} events and ${limits.bodyBytes / 1024 / 1024} MB a request, ${limits.eventBytes / 1024} KB and ${limits.depth} levels an event. An event without \`messageId\`, \`webhook-id\` and \`Idempotency-Key\` is known by its content.\n\nWithout any credential configured, only this machine may send.`,
    ...operation,
  },
  put: { operationId: 'ingestByPut', summary: 'The same as POST, for a webhook that is set to PUT', ...operation },
};

/** The same for one of several installations. */
export const addressedIngestPath = {
  parameters: [
    {
      name: 'installation',
      in: 'path',
      required: true,
      description: 'The id of an installation, as its `ingest_path` has it.',
      schema: text,
      example: 'default',
    },
    ...ingestPath.parameters,
  ],
  post: {
    ...operation,
    operationId: 'ingestInto',
    summary: 'Send events to one of several installed workspaces',
    responses: { ...operation.responses, 404: ref('responses', 'UnknownInstallation') },
  },
  put: {
    ...operation,
    operationId: 'ingestIntoByPut',
    summary: 'The same as POST',
    responses: { ...operation.responses, 404: ref('responses', 'UnknownInstallation') },
  },
};

export const ingestComponents = {
  securitySchemes,
  parameters,
  headers,
  requestBodies: {
    Events: {
      description: 'One event, an array of events, or an object that holds the array.',
      required: true,
      content: {
        'application/json': {
          schema: {
            anyOf: [
              event,
              list,
              { type: 'object', required: ['batch'], properties: { batch: list } },
              { type: 'object', required: ['events'], properties: { events: list } },
            ],
          },
          examples: requestExamples,
        },
      },
    },
  },
  responses,
};
