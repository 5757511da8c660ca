import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Queue } from '../queue/queue.ts';
import { toAuditLog, toCheck, toIntegration } from './answers.ts';
import { intercomVendor } from './catalog.ts';
import { InstallationError } from './refusal.ts';
import type { Installations, Who } from './registry.ts';

const region = z.enum(['us', 'eu', 'au'], { error: 'must be us, eu or au: where the Intercom workspace is hosted' });
const accessToken = z
  .string({
    error: 'is missing: copy it from Intercom (Settings > Integrations > Developer Hub > your app > Authentication)',
  })
  .trim()
  .regex(/^[\x21-\x7e]+$/, { error: 'is empty or holds characters that no token has' });
const name = z
  .string({ error: 'is missing' })
  .trim()
  .min(1, { error: 'is empty' })
  .max(100, { error: 'is longer than 100 characters' });

/** The body of Signal's documented install call. */
export const InstallRequest = z
  .object({
    name: name.default('Intercom'),
    variant: z.enum(['default'], { error: 'must be default' }).default('default'),
    config: z.object(
      { access_token: accessToken, region },
      { error: 'is missing: {"access_token": "…", "region": "us"}' },
    ),
    delivery_mode: z.enum(['server_side'], { error: 'must be server_side' }).default('server_side'),
  })
  .meta({ id: 'InstallRequest' });

export const ChangeRequest = z
  .object({
    name: name.optional(),
    config: z.object({ access_token: accessToken.optional(), region: region.optional() }).optional(),
  })
  .meta({ id: 'ChangeRequest' });

const Page = z.object({ limit: z.coerce.number().int().min(1).max(100).default(50), cursor: z.string().optional() });

type ById = { Params: { id: string } };

/** Signal's Management API for this one vendor: `/v1/admin/…`, with its error envelope. */
export async function managementRoutes(
  app: FastifyInstance,
  { installations, queue }: { installations: Installations; queue: Queue },
): Promise<void> {
  app.setErrorHandler((error, _, reply) => {
    if (error instanceof InstallationError) {
      const { status, code, message, field, details } = error.refusal;
      return sendError(reply, status, code, message, details ?? (field === undefined ? [] : [{ field, message }]));
    }
    const status = error instanceof Error && 'statusCode' in error ? Number(error.statusCode) : 500;
    if (status >= 500) throw error;
    return sendError(reply, status, 'BAD_REQUEST', error instanceof Error ? error.message : 'bad request');
  });

  const catalog = '/v1/admin/integration-catalog';
  const integrations = '/v1/admin/integrations';

  app.get(catalog, async () => onePage([intercomVendor]));
  app.get<{ Params: { key: string } }>(`${catalog}/:key`, async (request, reply) =>
    request.params.key === intercomVendor.key ? intercomVendor : unknownVendor(reply, request.params.key),
  );
  app.post<{ Params: { key: string } }>(`${catalog}/:key/install`, async (request, reply) => {
    if (request.params.key !== intercomVendor.key) return unknownVendor(reply, request.params.key);
    const wanted = read(InstallRequest, request.body);
    const installed = await installations.install(
      {
        name: wanted.name,
        variant: wanted.variant,
        accessToken: wanted.config.access_token,
        region: wanted.config.region,
      },
      who(request),
    );
    return reply.code(201).header('location', `${integrations}/${installed.id}`).send(toIntegration(installed));
  });

  app.get(integrations, async () => onePage(installations.list().map(toIntegration)));
  app.get<ById>(`${integrations}/:id`, async (request, reply) => {
    const found = installations.get(request.params.id);
    return found ? toIntegration(found) : unknownIntegration(reply, request.params.id);
  });
  app.patch<ById>(`${integrations}/:id`, async (request) => {
    const { name: wantedName, config } = read(ChangeRequest, request.body);
    const wanted = {
      ...(wantedName !== undefined && { name: wantedName }),
      ...(config?.access_token !== undefined && { accessToken: config.access_token }),
      ...(config?.region !== undefined && { region: config.region }),
    };
    return toIntegration(await installations.change(request.params.id, wanted, who(request)));
  });
  app.delete<ById & { Querystring: { discard?: string } }>(`${integrations}/:id`, async (request, reply) => {
    await installations.remove(request.params.id, request.query.discard === 'true', who(request));
    return reply.code(204).send();
  });
  app.post<ById>(`${integrations}/:id/pause`, async (request) =>
    toIntegration(await installations.pause(request.params.id, who(request))),
  );
  app.post<ById>(`${integrations}/:id/resume`, async (request) =>
    toIntegration(await installations.resume(request.params.id, who(request))),
  );
  app.post<ById>(`${integrations}/:id/check`, async (request) =>
    toCheck(await installations.check(request.params.id, who(request))),
  );

  app.get('/v1/admin/audit-log', async (request) => {
    const { limit, cursor } = read(Page, request.query);
    const { entries, next } = await queue.audit({ limit, before: cursor ?? null });
    return { data: entries.map(toAuditLog), next_cursor: next, has_more: next !== null };
  });
}

export function sendError(
  reply: FastifyReply,
  status: number,
  code: string,
  message: string,
  details: { field: string; message: string }[] = [],
): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .send({ error: { code, message, ...(details.length > 0 && { details }) } });
}

function read<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.map(({ path, message }) => ({ field: path.join('.'), message }));
  const message = details.map((one) => `${one.field} ${one.message}`).join('; ');
  throw new InstallationError({ status: 422, code: 'INVALID_CONFIG', message, details });
}

const onePage = <T>(data: T[]) => ({ data, next_cursor: null, has_more: false });

function unknownVendor(reply: FastifyReply, key: string): FastifyReply {
  return sendError(reply, 404, 'NOT_FOUND', `this service has no vendor ${key.slice(0, 40)}; it has intercom`);
}

function unknownIntegration(reply: FastifyReply, id: string): FastifyReply {
  return sendError(
    reply,
    404,
    'NOT_FOUND',
    `no integration ${id.slice(0, 40)} is installed; GET /v1/admin/integrations lists them`,
  );
}

function who(request: FastifyRequest): Who {
  return { ipAddress: request.ip, userAgent: (request.headers['user-agent'] ?? '').slice(0, 200) };
}
