import { type Fields, fields } from './fields.ts';
import { type Hold, readHold } from './overview.ts';

/** An installation as the management API shows it: never with its token. */
export type Integration = {
  id: string;
  name: string;
  isManagedByEnvironment: boolean;
  status: string;
  hold: Hold | null;
  workspace: { name: string; region: string } | null;
  region: string | null;
  maskedToken: string | null;
  revision: number;
  ingestPath: string;
  createdAtMs: number | null;
  updatedAtMs: number | null;
};

export type ConfigField = {
  key: string;
  label: string;
  type: string;
  isRequired: boolean;
  placeholder: string;
  help: string;
  options: { value: string; label: string }[];
};

/** What can be installed. */
export type Vendor = {
  key: string;
  name: string;
  description: string;
  category: string;
  status: string;
  website: string;
  fields: ConfigField[];
  variant: string;
  defaults: Fields;
};

export type Check =
  | { ok: true; workspace: string; region: string }
  | { ok: false; reason: string; message: string; remedy: string };

export type AuditEntry = {
  id: string;
  action: string;
  resourceId: string;
  changed: string[];
  ipAddress: string;
  atMs: number | null;
};

export function readIntegration(item: Fields): Integration {
  const revision = item.object('revision');
  const config = revision.object('config');
  const workspace = item.objectOrNull('workspace');
  return {
    id: item.text('id'),
    name: item.text('name'),
    isManagedByEnvironment: item.text('managed_by') === 'environment',
    status: item.text('status'),
    hold: readHold(item.objectOrNull('hold')),
    workspace: workspace && { name: workspace.text('name'), region: workspace.text('region') },
    region: config.textOrNull('region'),
    maskedToken: config.textOrNull('access_token'),
    revision: revision.number('revision_number'),
    ingestPath: item.text('ingest_path'),
    createdAtMs: item.timeOrNull('created_at'),
    updatedAtMs: item.timeOrNull('updated_at'),
  };
}

export function readVendor(item: Fields): Vendor {
  const [variant] = item.list('variants', (one) => ({ key: one.text('key'), defaults: one.object('default_config') }));
  return {
    key: item.text('key'),
    name: item.text('name'),
    description: item.text('description'),
    category: item.text('category'),
    status: item.text('status'),
    website: item.text('website'),
    fields: item.list('config_fields', (field) => ({
      key: field.text('key'),
      label: field.text('label'),
      type: field.text('type'),
      isRequired: field.flag('required'),
      placeholder: field.text('placeholder'),
      help: field.text('help_text'),
      options: field.list('options', (option) => ({ value: option.text('value'), label: option.text('label') })),
    })),
    variant: variant?.key ?? 'default',
    defaults: variant?.defaults ?? fields({}),
  };
}

export function readCheck(body: unknown): Check {
  const item = fields(body);
  const workspace = item.object('workspace');
  if (item.flag('ok')) return { ok: true, workspace: workspace.text('name'), region: workspace.text('region') };
  return { ok: false, reason: item.text('reason'), message: item.text('message'), remedy: item.text('remedy') };
}

export function readAuditEntry(item: Fields): AuditEntry {
  const changes = item.raw('changes');
  return {
    id: item.text('id'),
    action: item.text('action'),
    resourceId: item.text('resource_id'),
    changed: typeof changes === 'object' && changes !== null ? Object.keys(changes) : [],
    ipAddress: item.text('ip_address'),
    atMs: item.timeOrNull('timestamp'),
  };
}
