import { deadEvent, filters, invalidQuery, json, problem, security, unauthorized } from './events.ts';

/** The paths that a console watches the service by; for who has the admin token. */

const streamExample = `: open

id: 5f0c1d2e.41
event: overview
data: {"accepted":32,"delivered":27,"filtered":2,"dead":3,"queued":0}

id: 5f0c1d2e.42
event: event
data: ${JSON.stringify(deadEvent)}

`;

const streamText = `Server-sent events; read it with \`fetch\`, since EventSource can't send the admin token. Open the stream first and load the list then, so that nothing falls between.

| event | data |
|---|---|
| \`event\` | an event as \`GET /events\` has it: it was kept, has come to another state, or is to be tried again. At most four times a second, the newest state of each alone |
| \`skipped\` | \`{"count":n}\`: more happened than a reader can follow; the newest events follow, up to n others are left out |
| \`overview\` | the ledger: at once, then every 2 s when it has changed |
| \`reset\` | \`{}\`: the \`Last-Event-ID\` is too old, or of another process or replica: load the list anew |

A comment comes every 15 s. Who comes back within a minute with \`Last-Event-ID\` is told what it missed. Who reads nothing for 15 s is disconnected, and may come back in the same way. An event that stops to fit the filter is not told; under a load of thousands of events per second, \`text\` is looked for in the newest alone. What is filtered because its visitor did not log in (\`never_identified\`) is seen in the ledger and the list only.

Of replicas that share a PostgreSQL database each tells what happens on all of them, within about a second.`;

const minute = {
  at: '2026-02-25T14:30:00.000Z',
  accepted: 32,
  delivered: 27,
  filtered: 2,
  dead: 3,
  retried: 1,
  calls: 30,
};

const overviewExample = {
  now: '2026-02-25T14:30:12.345Z',
  version: '0.1.0',
  ledger: { accepted: 32, delivered: 27, filtered: 2, dead: 3, queued: 0 },
  backlog: {
    queued: 0,
    people: 0,
    waiting: 0,
    held: 0,
    oldestReceivedAt: null,
    callsPerSecond: 1.2,
    expectedEndAt: null,
  },
  store: { ok: true, reason: null },
  minutes: [minute],
  saved: { merged: 4, unchanged: 2, knownIds: 9 },
  installations: [
    {
      id: 'default',
      name: 'Intercom',
      status: 'active',
      hold: null,
      quota: { limit: 1667, used: 3, windowEndsAt: '2026-02-25T14:30:20.000Z', waiting: 0 },
    },
  ],
  replicas: [
    {
      id: '0198c9a2-5f0c-4d2e-9a41-3f6f6f0f7c11',
      since: '2026-02-25T08:00:00.000Z',
      lastSeenAt: '2026-02-25T14:30:11.200Z',
      version: '0.1.0',
      roles: ['all'],
      host: 'signal-intercom-7d9f',
    },
  ],
};

export const watchingPaths = {
  '/events/stream': {
    get: {
      operationId: 'watchEvents',
      summary: 'What happens to events, as it happens',
      description: streamText,
      tags: ['events'],
      security,
      parameters: [
        ...filters,
        {
          name: 'last-event-id',
          in: 'header',
          description: 'The last `id` that was received, to go on after it.',
          schema: { type: 'string' },
        },
      ],
      responses: {
        200: {
          description: 'A stream without an end.',
          content: { 'text/event-stream': { schema: { type: 'string' }, example: streamExample } },
        },
        400: invalidQuery,
        401: unauthorized,
        503: problem('50 streams are open already.', {
          type: 'urn:signal-intercom:problem:too_many_streams',
          title: 'Service Unavailable',
          status: 503,
          code: 'too_many_streams',
          detail: 'too many consoles watch this service already: close some of them',
        }),
      },
    },
  },
  '/v1/admin/overview': {
    get: {
      operationId: 'readOverview',
      summary: 'How the service does, at one glance',
      tags: ['operations'],
      security,
      responses: {
        200: { description: 'As of now.', content: json('Overview', overviewExample) },
        401: unauthorized,
      },
    },
  },
};
