import { intercomVendor } from '../installations/catalog.ts';

/** The paths of the Management API, in the shapes and with the error envelope of Signal's own. */

const tags = ['management'];
const security = [{ admin: [] }];
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const json = (name: string, example: unknown) => ({ 'application/json': { schema: ref(name), example } });
const error = (description: string, code: string, message: string, field?: string) => ({
  description,
  content: json('ManagementError', { error: { code, message, ...(field && { details: [{ field, message }] }) } }),
});

const integration = {
  id: 'int_5f0c2b7d9a3e4c61',
  name: 'Intercom',
  vendor: 'intercom',
  catalog_vendor_key: 'intercom',
  catalog_variant_key: 'default',
  managed_by: 'api',
  enabled: true,
  status: 'active',
  hold: null,
  workspace: { id: 'abc12345', name: 'Acme', region: 'us' },
  revision: {
    id: 'rev_0d9a3e4c615f0c2b',
    revision_number: 1,
    config: { access_token: '***9Zk1', region: 'us' },
    delivery_mode: 'server_side',
    created_at: '2026-02-25T14:30:00.000Z',
  },
  ingest_path: '/ingest/int_5f0c2b7d9a3e4c61',
  created_at: '2026-02-25T14:30:00.000Z',
  updated_at: '2026-02-25T14:30:00.000Z',
};

const auditEntry = {
  id: '7',
  action: 'integration.paused',
  resource_type: 'integration',
  resource_id: integration.id,
  changes: { enabled: { old: true, new: false } },
  ip_address: '192.0.2.7',
  user_agent: 'curl/8.5.0',
  timestamp: '2026-02-25T14:30:00.000Z',
};

const unauthorized = error(
  'The admin token is missing or wrong.',
  'INVALID_TOKEN',
  'send the admin token: Authorization: Bearer <ADMIN_TOKEN>. Without ADMIN_TOKEN it stands in the file beside the database that ends in .admin-token',
);
const notFound = error(
  'No such integration is installed.',
  'NOT_FOUND',
  'no integration int_0 is installed; GET /v1/admin/integrations lists them',
);
const invalid = error(
  'The body is wrong, or Intercom does not accept the token; the message says what to change.',
  'INVALID_CONFIG',
  'config.region must be us, eu or au: where the Intercom workspace is hosted',
  'config.region',
);
const unreachable = error(
  'Intercom could not be asked about the token; nothing was stored.',
  'INTERCOM_UNREACHABLE',
  'Intercom did not answer within 10 s: check the network and status.intercom.com, then try again',
  'config.access_token',
);
const conflict = (code: string, message: string) => error('It can not be done as things are.', code, message);

const id = { name: 'id', in: 'path', required: true, schema: { type: 'string' }, example: integration.id };
const key = { name: 'key', in: 'path', required: true, schema: { type: 'string', enum: ['intercom'] } };
const paging = [
  { name: 'limit', in: 'query', schema: { type: 'integer', minimum: 1, maximum: 100, default: 50 } },
  { name: 'cursor', in: 'query', schema: { type: 'string' }, description: 'The `next_cursor` of the page before.' },
];
const onePage = (data: unknown[]) => ({ data, next_cursor: null, has_more: false });
const vendorList = {
  type: 'object',
  properties: {
    data: { type: 'array', items: { type: 'object' } },
    next_cursor: { type: 'null' },
    has_more: { type: 'boolean' },
  },
};

const changed = { 200: { description: 'The integration as it is now.', content: json('Integration', integration) } };
const action = (operationId: string, summary: string, description: string) => ({
  post: {
    operationId,
    summary,
    description,
    tags,
    security,
    parameters: [id],
    responses: { ...changed, 401: unauthorized, 404: notFound },
  },
});

export const managementPaths = {
  '/v1/admin/integration-catalog': {
    get: {
      operationId: 'listCatalog',
      summary: 'What can be installed',
      tags,
      security,
      responses: {
        200: {
          description: 'One vendor: Intercom.',
          content: { 'application/json': { schema: vendorList, example: onePage([intercomVendor]) } },
        },
        401: unauthorized,
      },
    },
  },
  '/v1/admin/integration-catalog/{key}': {
    get: {
      operationId: 'readVendor',
      summary: 'The vendor with the fields of its configuration',
      tags,
      security,
      parameters: [key],
      responses: {
        200: {
          description: 'The vendor.',
          content: { 'application/json': { schema: { type: 'object' }, example: intercomVendor } },
        },
        401: unauthorized,
        404: notFound,
      },
    },
  },
  '/v1/admin/integration-catalog/{key}/install': {
    post: {
      operationId: 'install',
      summary: 'Install an Intercom workspace',
      description:
        "The token is checked with `GET /me` before anything is stored, kept encrypted, and never told again. Events for it are sent to its `ingest_path`; `/ingest` feeds the environment's installation, or the only one.",
      tags,
      security,
      parameters: [key],
      requestBody: {
        required: true,
        content: json('InstallRequest', {
          name: 'Intercom',
          variant: 'default',
          config: { access_token: 'dG9rOjEyMzQ1Njc4OTA=', region: 'us' },
          delivery_mode: 'server_side',
        }),
      },
      responses: {
        201: { description: 'It is installed and delivers.', content: json('Integration', integration) },
        401: unauthorized,
        404: notFound,
        409: conflict('DUPLICATE_NAME', 'an integration named "Intercom" is installed already: choose another name'),
        422: invalid,
        502: unreachable,
      },
    },
  },
  '/v1/admin/integrations': {
    get: {
      operationId: 'listIntegrations',
      summary: 'What is installed',
      tags,
      security,
      responses: {
        200: { description: 'All of them.', content: json('IntegrationList', onePage([integration])) },
        401: unauthorized,
      },
    },
  },
  '/v1/admin/integrations/{id}': {
    get: {
      operationId: 'readIntegration',
      summary: 'One installed workspace',
      tags,
      security,
      parameters: [id],
      responses: { ...changed, 401: unauthorized, 404: notFound },
    },
    patch: {
      operationId: 'changeIntegration',
      summary: 'Another name, token or region',
      description:
        'A token or region is checked first and makes a new revision; it counts from the next call on, and ends a hold.',
      tags,
      security,
      parameters: [id],
      requestBody: { required: true, content: json('ChangeRequest', { config: { access_token: 'dG9rOm5ldw==' } }) },
      responses: {
        ...changed,
        401: unauthorized,
        404: notFound,
        409: conflict(
          'MANAGED_BY_ENVIRONMENT',
          'this integration is configured by INTERCOM_ACCESS_TOKEN and INTERCOM_REGION',
        ),
        422: invalid,
        502: unreachable,
      },
    },
    delete: {
      operationId: 'removeIntegration',
      summary: 'Remove it here',
      description: 'Nothing changes in Intercom. Refused while events wait for it, unless they are to be discarded.',
      tags,
      security,
      parameters: [
        id,
        {
          name: 'discard',
          in: 'query',
          schema: { type: 'boolean', default: false },
          description: 'Filter what waits for it, as `installation_removed`.',
        },
      ],
      responses: {
        204: { description: 'It is removed.' },
        401: unauthorized,
        404: notFound,
        409: conflict(
          'EVENTS_QUEUED',
          '3 events wait for this integration: wait until they are delivered, or remove it with ?discard=true',
        ),
      },
    },
  },
  '/v1/admin/integrations/{id}/pause': action(
    'pauseIntegration',
    'Pause its delivery',
    'Events are still accepted and wait, with the reason `paused`.',
  ),
  '/v1/admin/integrations/{id}/resume': action(
    'resumeIntegration',
    'Go on delivering',
    'What waited is delivered in order.',
  ),
  '/v1/admin/integrations/{id}/check': {
    post: {
      operationId: 'checkIntegration',
      summary: 'Ask Intercom about the token now',
      description: 'Ends a hold whose cause is gone, without waiting for the next probe.',
      tags,
      security,
      parameters: [id],
      responses: {
        200: {
          description: 'What Intercom says.',
          content: json('CheckAnswer', { ok: true, workspace: integration.workspace }),
        },
        401: unauthorized,
        404: notFound,
      },
    },
  },
  '/v1/admin/audit-log': {
    get: {
      operationId: 'readAuditLog',
      summary: 'Who changed what, newest first',
      tags,
      security,
      parameters: paging,
      responses: {
        200: { description: 'A page of it.', content: json('AuditLog', onePage([auditEntry])) },
        401: unauthorized,
        422: invalid,
      },
    },
  },
};
