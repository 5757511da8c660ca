/** `/explain`: what would become of events. For who has the admin token. */

const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` });
const problem = (description: string, example: Record<string, unknown>) => ({
  description,
  content: { 'application/problem+json': { schema: ref('schemas', 'Problem'), example } },
});

const example = {
  events: [
    {
      index: 0,
      messageId: 'm-1',
      type: 'identify',
      status: 'would_send',
      reason: null,
      consent: { granted: true, category: 'functional', form: 'absent', key: null, value: null },
      person: 'user:user-123',
      calls: [
        {
          method: 'POST',
          path: '/contacts',
          body: { role: 'user', external_id: 'user-123', email: 'jane@example.com' },
          note: 'if Intercom answers 409: the user exists, then PUT /contacts/id_of_the_existing_contact',
          otherwise: {
            when: 'Intercom answers 409: the user exists',
            calls: [
              { method: 'PUT', path: '/contacts/id_of_the_existing_contact', body: { email: 'jane@example.com' } },
            ],
          },
        },
      ],
      warnings: [
        {
          code: 'unknown_attribute',
          message:
            'plan was left out: the workspace has no people attribute of that name. Create it in Intercom under Settings > Data',
          field: 'plan',
          remedy: 'create the attribute in Intercom under Settings > Data, or set CREATE_ATTRIBUTES=true',
        },
      ],
    },
  ],
};

export const explainPaths = {
  '/explain': {
    post: {
      operationId: 'explain',
      summary: 'What would become of events',
      description:
        'Takes what /ingest takes, sends nothing and keeps nothing. Shows for each event the consent decision, the person, the calls of the Intercom API with their bodies as they would be sent now, and what would be left out. The events of a request build on each other, as they would in the queue. An invalid event is answered with what is wrong with it, and 200.',
      tags: ['events'],
      security: [{ admin: [] }],
      parameters: [
        {
          name: 'installation',
          in: 'query',
          description: 'The installation to explain for.',
          schema: { type: 'string', default: 'default' },
        },
      ],
      requestBody: ref('requestBodies', 'Events'),
      responses: {
        200: {
          description: 'What would become of each event.',
          content: { 'application/json': { schema: ref('schemas', 'Explanation'), example } },
        },
        400: ref('responses', 'Invalid'),
        401: ref('responses', 'Unauthorized'),
        404: problem('There is no such installation.', {
          type: 'urn:signal-intercom:problem:no_installation',
          title: 'Not Found',
          status: 404,
          code: 'no_installation',
          detail: 'there is no installation other: set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION, or install one',
        }),
        413: ref('responses', 'TooLarge'),
        415: ref('responses', 'UnsupportedMedia'),
        503: ref('responses', 'Unavailable'),
      },
    },
  },
};
