import { z } from 'zod';
import { Hold } from '../console/overview.ts';
import type { GateState } from '../dispatch/gate.ts';
import type { AuditEntry } from '../queue/queue.ts';
import type { Installation } from './installed.ts';

const time = z.iso.datetime();

/** An installed integration, in the shape of Signal's Management API; the token is masked. */
export const Integration = z
  .object({
    id: z.string(),
    name: z.string(),
    vendor: z.literal('intercom'),
    catalog_vendor_key: z.literal('intercom'),
    catalog_variant_key: z.string(),
    managed_by: z.enum(['environment', 'api']),
    enabled: z.boolean(),
    status: z.enum(['active', 'paused', 'held', 'starting']),
    hold: Hold.nullable(),
    workspace: z.object({ id: z.string(), name: z.string(), region: z.string().nullable() }).nullable(),
    revision: z.object({
      id: z.string(),
      revision_number: z.int(),
      config: z.object({ access_token: z.string(), region: z.string().nullable() }),
      delivery_mode: z.literal('server_side'),
      created_at: time,
    }),
    ingest_path: z.string(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: 'Integration', description: 'An installed Intercom workspace.' });

export const CheckAnswer = z
  .object({
    ok: z.boolean(),
    workspace: z.object({ id: z.string(), name: z.string(), region: z.string().nullable() }).optional(),
    reason: z.string().optional(),
    message: z.string().optional(),
    remedy: z.string().optional(),
  })
  .meta({ id: 'CheckAnswer', description: 'What Intercom says of the token now.' });

export const AuditLogEntry = z
  .object({
    id: z.string(),
    action: z.string(),
    resource_type: z.literal('integration'),
    resource_id: z.string(),
    changes: z.record(z.string(), z.object({ old: z.unknown(), new: z.unknown() })),
    ip_address: z.string(),
    user_agent: z.string(),
    timestamp: time,
  })
  .meta({ id: 'AuditLogEntry' });

const page = { next_cursor: z.string().nullable(), has_more: z.boolean() };
export const IntegrationList = z.object({ data: z.array(Integration), ...page }).meta({ id: 'IntegrationList' });
export const AuditLog = z.object({ data: z.array(AuditLogEntry), ...page }).meta({ id: 'AuditLog' });

export const ManagementError = z
  .object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      details: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    }),
  })
  .meta({ id: 'ManagementError', description: "Signal's error envelope." });

export function toIntegration({ id, settings, delivery }: Installation): z.infer<typeof Integration> {
  const gate = delivery.gate();
  return {
    id,
    name: settings.name,
    vendor: 'intercom',
    catalog_vendor_key: 'intercom',
    catalog_variant_key: settings.variant,
    managed_by: settings.managedBy,
    enabled: settings.enabled,
    status: statusOf(settings.enabled, gate),
    hold: holdOf(settings.enabled, gate),
    workspace: delivery.workspace() ?? settings.workspace,
    revision: {
      id: settings.revision.id,
      revision_number: settings.revision.number,
      config: { access_token: `***${settings.tokenEnd}`, region: settings.region },
      delivery_mode: settings.deliveryMode,
      created_at: iso(settings.revision.createdAtMs),
    },
    ingest_path: `/ingest/${id}`,
    created_at: iso(settings.createdAtMs),
    updated_at: iso(settings.updatedAtMs),
  };
}

export function toCheck({ delivery }: Installation): z.infer<typeof CheckAnswer> {
  const gate = delivery.gate();
  const workspace = delivery.workspace();
  if (gate.open) return { ok: true, ...(workspace && { workspace }) };
  return { ok: false, reason: gate.reason, message: gate.message, remedy: gate.remedy };
}

export function toAuditLog({ id, action, resource, changes, ipAddress, userAgent, atMs }: AuditEntry & { id: string }) {
  return {
    id,
    action,
    resource_type: 'integration',
    resource_id: resource,
    changes: JSON.parse(changes),
    ip_address: ipAddress,
    user_agent: userAgent,
    timestamp: iso(atMs),
  };
}

export type Status = z.infer<typeof Integration>['status'];

export function statusOf(enabled: boolean, gate: GateState): Status {
  if (!enabled) return 'paused';
  if (gate.open) return 'active';
  return gate.reason === 'starting' ? 'starting' : 'held';
}

export function holdOf(enabled: boolean, gate: GateState): z.infer<typeof Integration>['hold'] {
  if (!enabled || gate.open || gate.reason === 'starting') return null;
  const { reason, message, remedy, sinceMs } = gate;
  return { reason, message, remedy, since: iso(sinceMs) };
}

const iso = (ms: number): string => new Date(ms).toISOString();
