import type { Attribute, DataType, Model } from './attributes.ts';

type Row = readonly [fullName: string, label: string, dataType: DataType, apiWritable: boolean];

/** The attributes that every workspace has: listed beside the custom ones, and their names are taken. */
export const standardAttributes: Record<Model, Attribute[]> = {
  company: toAttributes('company', [
    ['name', 'Company name', 'string', true],
    ['company_id', 'Company ID', 'string', false],
    ['last_request_at', 'Company last seen', 'date', false],
    ['remote_created_at', 'Company created at', 'date', true],
    ['user_count', 'People', 'integer', false],
    ['session_count', 'Company web sessions', 'integer', false],
    ['plan.name', 'Plan', 'string', false],
    ['monthly_spend', 'Monthly Spend', 'float', true],
    ['size', 'Company size', 'integer', true],
    ['industry', 'Company industry', 'string', true],
    ['website', 'Company website', 'string', true],
    ['id', 'ID', 'string', false],
    ['created_at', 'Created at', 'date', false],
    ['updated_at', 'Updated at', 'date', false],
    ['plan.id', 'Plan ID', 'string', false],
    ['app_id', 'App ID', 'string', false],
  ]),
  // Inferred from the contact's writable and searchable fields; the description lists companies only.
  contact: toAttributes('contact', [
    ['id', 'ID', 'string', false],
    ['external_id', 'User ID', 'string', true],
    ['role', 'Role', 'string', true],
    ['email', 'Email', 'string', true],
    ['phone', 'Phone', 'string', true],
    ['name', 'Name', 'string', true],
    ['avatar', 'Avatar', 'string', true],
    ['owner_id', 'Owner', 'integer', true],
    ['unsubscribed_from_emails', 'Unsubscribed from Emails', 'boolean', true],
    ['signed_up_at', 'Signed up', 'date', true],
    ['last_seen_at', 'Last seen', 'date', true],
    ['created_at', 'First seen', 'date', false],
    ['updated_at', 'Updated at', 'date', false],
  ]),
};

function toAttributes(model: Model, rows: readonly Row[]): Attribute[] {
  return rows.map(([fullName, label, dataType, apiWritable]) => ({
    type: 'data_attribute',
    name: fullName.split('.').at(-1) ?? fullName,
    full_name: fullName,
    label,
    description: label,
    data_type: dataType,
    api_writable: apiWritable,
    ui_writable: false,
    messenger_writable: true,
    custom: false,
    archived: false,
    model,
  }));
}
