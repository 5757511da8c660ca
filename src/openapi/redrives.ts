import { id, invalidQuery, json, problem, security, unauthorized, unknownEvent } from './events.ts';

/** The paths that bring dead letters back to the queue; for who has the admin token. */

const tags = ['events'];
const redriveId = { ...id, example: 'redrive_Zt1cX0q9mA2b' };
const progress = { id: redriveId.example, total: 25_000, done: 12_500, status: 'running' };

const unknownRedrive = problem('No such redrive is known.', {
  type: 'urn:signal-intercom:problem:unknown_redrive',
  title: 'Not Found',
  status: 404,
  code: 'unknown_redrive',
  detail:
    'no redrive redrive_x is known: it never was, or the service has started anew since; what it had not reached is still dead, and can be redriven again',
});

export const redrivePaths = {
  '/events/{id}/redrive': {
    post: {
      operationId: 'redriveEvent',
      summary: 'A dead letter back to the queue',
      description:
        "It goes to its place in its person's line, with its identity and its time, and is mapped as of today.",
      tags,
      security,
      parameters: [id],
      responses: {
        200: { description: 'It is queued again.', content: json('RedriveAnswer', { redriven: 1 }) },
        401: unauthorized,
        404: unknownEvent,
        409: problem('It is not dead.', {
          type: 'urn:signal-intercom:problem:not_dead',
          title: 'Conflict',
          status: 409,
          code: 'not_dead',
          detail: 'the event is delivered: only dead letters can be redriven',
        }),
      },
    },
  },
  '/events/redrive': {
    post: {
      operationId: 'redriveEvents',
      summary: 'Dead letters back to the queue, by filter',
      description:
        "Oldest first, so that one person's events stay in order. What dies after the beginning is left alone. `dryRun` counts exactly and moves nothing. More than 1,000 are moved by a job, which is known until the next start of the service: ask again then, and the rest is moved; what is queued already is not moved twice. With PostgreSQL any replica tells of a job and cancels it, and it goes on with another one where its replica dies; the last 100 are known.",
      tags,
      security,
      requestBody: { content: json('RedriveQuery', { reason: 'invalid_request', dryRun: true }) },
      responses: {
        200: { description: 'How many.', content: json('RedriveAnswer', { redriven: 3, dryRun: true }) },
        202: {
          description: 'More than 1,000 match: a job goes on with them.',
          content: json('RedriveStarted', { id: redriveId.example, count: 25_000 }),
        },
        400: invalidQuery,
        401: unauthorized,
      },
    },
  },
  '/events/redrives/{id}': {
    get: {
      operationId: 'readRedrive',
      summary: 'How far a redrive of many is',
      tags,
      security,
      parameters: [redriveId],
      responses: {
        200: { description: 'As of now.', content: json('RedriveProgress', progress) },
        401: unauthorized,
        404: unknownRedrive,
      },
    },
    delete: {
      operationId: 'cancelRedrive',
      summary: 'End a redrive of many',
      description: 'What is queued already stays queued; the rest stays dead.',
      tags,
      security,
      parameters: [redriveId],
      responses: {
        200: { description: 'As it ended.', content: json('RedriveProgress', { ...progress, status: 'cancelled' }) },
        401: unauthorized,
        404: unknownRedrive,
      },
    },
  },
};
