/** `/people`: what is known of a person, and its erasure. For who has the admin token. */

const tags = ['people'];
const security = [{ admin: [] }];
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (name: string, example: unknown) => ({ 'application/json': { schema: ref(name), example } });
const problem = (
  description: string,
  status: number,
  title: string,
  code: string,
  detail: string,
  more: object = {},
) => ({
  description,
  content: {
    'application/problem+json': {
      schema: ref('Problem'),
      example: { type: `urn:signal-intercom:problem:${code}`, title, status, code, detail, ...more },
    },
  },
});

const unauthorized = problem(
  'The admin token is missing or wrong.',
  401,
  'Unauthorized',
  'unauthorized',
  'send the admin token: Authorization: Bearer <ADMIN_TOKEN>. Without ADMIN_TOKEN it stands in the file beside the database that ends in .admin-token',
);
const invalid = problem(
  'The key or the query is invalid.',
  400,
  'Bad Request',
  'invalid_key',
  'a person is named by user:<userId>, email:<address> or anon:<anonymousId>, URL-encoded',
);
const unknown = problem(
  'Nothing is known of this person, or there is no such installation.',
  404,
  'Not Found',
  'unknown_person',
  'nothing is known of this person, and no event of it is kept; DELETE erases it in Intercom all the same',
);

const person = {
  person: 'user:user-123',
  aliases: ['email:jane@example.com'],
  contact: {
    intercomId: '667d60b08a68186f43bafdbf',
    role: 'user',
    fields: { email: 'jane@example.com', name: 'Jane Doe' },
    attributes: { plan: 'pro' },
    companies: { acme: '667d607c8a68186f43bafd1e' },
  },
  consent: null,
  queued: 0,
  events: [
    {
      id: 'evt_000000003',
      status: 'delivered',
      reason: null,
      installation: 'default',
      messageId: 'm-3',
      type: 'track',
      name: 'Product Viewed',
      userId: 'user-123',
      email: null,
      anonymousId: null,
      receivedAt: '2026-02-25T14:30:00.000Z',
      occurredAt: '2026-02-25T14:30:00.000Z',
      settledAt: '2026-02-25T14:30:00.100Z',
      nextAttemptAt: null,
      attempts: 1,
      intercom: { status: 202, calls: 1 },
    },
  ],
  nextCursor: null,
};

const done = {
  id: 'evt_000000009',
  status: 'done',
  reason: null,
  explanation: null,
  intercom: { status: 200, calls: 3 },
  requestedAt: '2026-02-25T14:31:00.000Z',
  endedAt: '2026-02-25T14:31:00.400Z',
};
const running = { ...done, status: 'running', intercom: { status: null, calls: 0 }, endedAt: null };
const dead = {
  ...done,
  status: 'dead',
  reason: 'invalid_request',
  explanation: {
    cause: 'Intercom refused the request; its answer stands with the attempt',
    remedy: 'correct what the answer names (in Signal, or in MAPPING_FILE), then redrive',
  },
};

const key = {
  name: 'key',
  in: 'path',
  required: true,
  description: '`user:<userId>`, `email:<address>` or `anon:<anonymousId>`, URL-encoded.',
  schema: { type: 'string', pattern: '^(user|email|anon):.+$' },
  example: 'email:jane@example.com',
};
const query = (name: string, description: string, schema: object = { type: 'string' }) => ({
  name,
  in: 'query',
  description,
  schema,
});
const installation = query('installation', 'Whose person.', { type: 'string', default: 'default' });

export const peoplePaths = {
  '/people/{key}': {
    get: {
      operationId: 'readPerson',
      summary: 'What is known of a person',
      description: 'The contact record, the keys, the newest consent, and the events, newest first.',
      tags,
      security,
      parameters: [
        key,
        installation,
        query('limit', 'How many events at the most.', { type: 'integer', minimum: 1, maximum: 200, default: 50 }),
        query('cursor', 'The `nextCursor` of the page before.'),
      ],
      responses: {
        200: { description: 'The person.', content: json('Person', person) },
        400: invalid,
        401: unauthorized,
        404: unknown,
      },
    },
    delete: {
      operationId: 'erasePerson',
      summary: 'Erase a person, here and in Intercom',
      description:
        'What is queued of the person is never sent; all that is kept of it is deleted, and its contacts in Intercom, archived ones too. It is durable from the answer on, and retried until Intercom has done it. Who comes with the same keys later is somebody new. Works for people of whom nothing is known here.',
      tags,
      security,
      parameters: [key, installation, { $ref: '#/components/parameters/Prefer' }],
      responses: {
        200: { description: 'It is done.', content: json('Erasure', done) },
        202: {
          description: 'It is on its way: `GET /people/erasures/{id}` tells.',
          headers: { Location: { description: 'Where its state is told.', schema: { type: 'string' } } },
          content: json('Erasure', running),
        },
        400: invalid,
        401: unauthorized,
        404: unknown,
        422: problem(
          'Erased here; Intercom refused it. It can be redriven like an event.',
          422,
          'Unprocessable Entity',
          'refused_by_intercom',
          'Intercom refused to delete the person (invalid_request); here it is erased. /events/evt_000000009 has the answer: mend what it names, then POST /events/evt_000000009/redrive',
          { erasure: dead },
        ),
        503: { $ref: '#/components/responses/Unavailable' },
      },
    },
  },
  '/people/erasures/{id}': {
    get: {
      operationId: 'readErasure',
      summary: 'How far an erasure is',
      tags,
      security,
      parameters: [{ name: 'id', in: 'path', required: true, schema: { type: 'string' }, example: 'evt_000000009' }],
      responses: {
        200: { description: 'Its state.', content: json('Erasure', done) },
        401: unauthorized,
        404: problem(
          'No such erasure is known.',
          404,
          'Not Found',
          'unknown_erasure',
          'no erasure evt_000000099 is known: it never was, or its time (RETENTION_DAYS) is over',
        ),
      },
    },
  },
};
