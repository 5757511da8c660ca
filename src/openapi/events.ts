/** The paths that show the kept events; for who has the admin token. */

const tags = ['events'];
export const security = [{ admin: [] }];
export const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
export const json = (name: string, example: unknown) => ({ 'application/json': { schema: ref(name), example } });
export const problem = (description: string, example: Record<string, unknown>) => ({
  description,
  content: { 'application/problem+json': { schema: ref('Problem'), example } },
});

export const deadEvent = {
  id: 'evt_000000007',
  status: 'dead',
  reason: 'invalid_request',
  installation: 'default',
  messageId: 'm-10',
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
  intercom: { status: 422, calls: 1 },
};

const deadCause = {
  reason: 'invalid_request',
  status: 'dead',
  count: 3,
  oldest: '2026-02-25T14:30:00.000Z',
  newest: '2026-02-25T14:31:00.000Z',
  explanation: 'Intercom refused the request; its answer stands with the attempt',
  remedy: 'correct what the answer names (in Signal, or in MAPPING_FILE), then redrive',
  example: { id: 'evt_000000007', name: 'Product Viewed', type: 'track' },
};

const story = {
  ...deadEvent,
  explanation: {
    cause: 'Intercom refused the request; its answer stands with the attempt',
    remedy: 'correct what the answer names (in Signal, or in MAPPING_FILE), then redrive',
  },
  event: { type: 'track', event: 'Product Viewed', userId: 'user-123', messageId: 'm-10' },
  consent: { granted: true, category: 'functional', form: 'absent', key: null, value: null },
  createdAt: null,
  history: [
    {
      n: 1,
      at: '2026-02-25T14:30:00.100Z',
      outcome: 'dead',
      reason: 'invalid_request',
      ms: 96,
      intercom: { status: 422, calls: 1 },
      exchange: {
        calls: [
          {
            method: 'POST',
            path: '/events',
            body: { user_id: 'user-123', event_name: 'Product Viewed', created_at: 1772029800 },
            status: 422,
            answer: { errors: [{ code: 'data_invalid', message: 'no' }] },
            ms: 95,
          },
        ],
        warnings: [],
      },
    },
  ],
};

export const unauthorized = problem('The admin token is missing or wrong.', {
  type: 'urn:signal-intercom:problem:unauthorized',
  title: 'Unauthorized',
  status: 401,
  code: 'unauthorized',
  detail:
    'send the admin token: Authorization: Bearer <ADMIN_TOKEN>. Without ADMIN_TOKEN it stands in the file beside the database that ends in .admin-token',
});

export const unknownEvent = problem('No such event is kept.', {
  type: 'urn:signal-intercom:problem:unknown_event',
  title: 'Not Found',
  status: 404,
  code: 'unknown_event',
  detail: 'no event evt_000000099 is kept: it never was, or its time (RETENTION_DAYS, DEAD_LETTER_DAYS) is over',
});

export const invalidQuery = problem('The query is invalid.', {
  type: 'urn:signal-intercom:problem:invalid_query',
  title: 'Bad Request',
  status: 400,
  code: 'invalid_query',
  detail: 'status must be queued, delivered, filtered or dead',
  errors: [{ code: 'invalid_field', message: 'must be queued, delivered, filtered or dead', path: 'status' }],
});

export const id = { name: 'id', in: 'path', required: true, schema: { type: 'string' }, example: 'evt_000000007' };
const query = (name: string, description: string, schema: object = { type: 'string' }) => ({
  name,
  in: 'query',
  description,
  schema,
});

/** What a list, a stream or a redrive is narrowed down by. */
export const filters = [
  query('status', 'What became of it.', { type: 'string', enum: ['queued', 'delivered', 'filtered', 'dead'] }),
  query('type', 'identify, page, track or group; erasure for that of a person.'),
  query('name', 'The event name, or the name of the page.'),
  query('userId', 'The userId that it carries.'),
  query('email', 'The email that it carries, in lower case.'),
  query('messageId', 'The messageId that it carries, or was given.'),
  query('reason', 'Why it was filtered or died.'),
  query('installation', 'The installation that it came to.'),
  query('from', 'Received at or after.', { type: 'string', format: 'date-time' }),
  query('to', 'Received before.', { type: 'string', format: 'date-time' }),
  query('text', 'A text that the raw event contains.'),
];

export const eventPaths = {
  '/events': {
    get: {
      operationId: 'findEvents',
      summary: 'Kept events, newest first',
      description: 'All that is given must fit. `name` is the name as Signal sent it.',
      tags,
      security,
      parameters: [
        ...filters,
        query('limit', 'How many at the most.', { type: 'integer', minimum: 1, maximum: 200, default: 50 }),
        query('cursor', 'The `nextCursor` of the page before.'),
      ],
      responses: {
        200: { description: 'A page of them.', content: json('EventList', { data: [deadEvent], nextCursor: null }) },
        400: invalidQuery,
        401: unauthorized,
      },
    },
  },
  '/events/summary': {
    get: {
      operationId: 'summariseEvents',
      summary: 'Dead letters and filtered events by their cause',
      tags,
      security,
      parameters: [
        query('status', 'Only these; both if absent.', { type: 'string', enum: ['dead', 'filtered'] }),
        query('installation', 'The installation that they came to.'),
      ],
      responses: {
        200: {
          description: 'The most frequent first.',
          content: json('EventCauses', { data: [deadCause], filteredSince: null }),
        },
        400: invalidQuery,
        401: unauthorized,
      },
    },
  },
  '/events/{id}': {
    get: {
      operationId: 'readEvent',
      summary: 'One event with its story',
      description: 'What came, why it might be sent, every attempt with request and answer, and what to do.',
      tags,
      security,
      parameters: [id],
      responses: {
        200: { description: 'The event.', content: json('EventStory', story) },
        401: unauthorized,
        404: unknownEvent,
      },
    },
  },
};
