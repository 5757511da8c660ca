/** The console: the page for people, which asks for the admin token itself. */

const open: never[] = [];
const tags = ['operations'];

export const consolePaths = {
  '/': {
    get: {
      operationId: 'readConsole',
      summary: 'The console',
      description:
        'The page for a browser (`Accept: text/html`); a pointer for everybody else. The page holds no data: it asks for the admin token, and reads the other routes with it.',
      tags,
      security: open,
      responses: {
        200: {
          description: 'The page, or where to go.',
          content: {
            'text/html': { schema: { type: 'string' }, example: '<!doctype html>' },
            'application/json': {
              schema: {
                type: 'object',
                properties: {
                  service: { type: 'string' },
                  ingest: { type: 'string' },
                  openapi: { type: 'string' },
                  readiness: { type: 'string' },
                  console: { type: 'string' },
                },
              },
              example: {
                service: 'signal-intercom',
                ingest: '/ingest',
                openapi: '/openapi.yaml',
                readiness: '/readyz',
                console: 'open this address in a browser',
              },
            },
          },
        },
        304: { description: 'The page has not changed.' },
        503: {
          description: 'The console is not built.',
          content: {
            'application/problem+json': {
              schema: { $ref: '#/components/schemas/Problem' },
              example: {
                type: 'urn:signal-intercom:problem:not_built',
                title: 'Service Unavailable',
                status: 503,
                code: 'not_built',
                detail: 'the console is not built: run npm run build, and start again',
              },
            },
          },
        },
      },
    },
  },
  '/assets/{file}': {
    get: {
      operationId: 'readConsoleAsset',
      summary: 'A script, style or image of the console',
      description: 'Its name changes with its content, so that it may be kept for ever.',
      tags,
      security: open,
      parameters: [
        {
          name: 'file',
          in: 'path',
          required: true,
          description: 'As the page names it.',
          schema: { type: 'string' },
          example: 'index-CyLqvZGb.js',
        },
      ],
      responses: {
        200: {
          description: 'The file.',
          content: { 'text/javascript': { schema: { type: 'string' }, example: 'export {}' } },
        },
        304: { description: 'The file has not changed.' },
        404: {
          description: 'No such file: the page is of an older version.',
          content: {
            'application/problem+json': {
              schema: { $ref: '#/components/schemas/Problem' },
              example: {
                type: 'urn:signal-intercom:problem:not_found',
                title: 'Not Found',
                status: 404,
                code: 'not_found',
                detail:
                  'the console has no such file; a page that was open during an upgrade is mended by loading it anew',
              },
            },
          },
        },
      },
    },
  },
};
