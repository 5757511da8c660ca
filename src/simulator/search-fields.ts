import type { Attributes } from './attributes.ts';
import { emailDomain, type ContactFields } from './contact.ts';

export type FieldType = 'string' | 'date' | 'boolean' | 'integer' | 'tag';
export type SearchField = { type: FieldType; read: (contact: ContactFields) => unknown };

const always = (type: FieldType, value: unknown): SearchField => ({ type, read: () => value });

/** The documented searchable fields. Those that nothing in the simulator fills are searchable all the same. */
const FIELDS = new Map<string, SearchField>([
  ['id', { type: 'string', read: ({ id }) => id }],
  ['role', { type: 'string', read: ({ role }) => role }],
  ['name', { type: 'string', read: ({ name }) => name }],
  ['avatar', { type: 'string', read: ({ avatar }) => avatar }],
  ['owner_id', { type: 'integer', read: (contact) => contact.owner_id }],
  ['email', { type: 'string', read: ({ email }) => email }],
  ['email_domain', { type: 'string', read: ({ email }) => emailDomain(email) }],
  ['phone', { type: 'string', read: ({ phone }) => phone }],
  ['external_id', { type: 'string', read: (contact) => contact.external_id }],
  ['created_at', { type: 'date', read: (contact) => contact.created_at }],
  ['updated_at', { type: 'date', read: (contact) => contact.updated_at }],
  ['signed_up_at', { type: 'date', read: (contact) => contact.signed_up_at }],
  ['last_seen_at', { type: 'date', read: (contact) => contact.last_seen_at }],
  ['unsubscribed_from_emails', { type: 'boolean', read: (contact) => contact.unsubscribed_from_emails }],
  ['marked_email_as_spam', always('boolean', false)],
  ['has_hard_bounced', always('boolean', false)],
  ['tag_id', always('tag', null)],
  ...[
    'last_contacted_at',
    'last_replied_at',
    'last_email_opened_at',
    'last_email_clicked_at',
    'ios_last_seen_at',
    'android_last_seen_at',
  ].map((name): [string, SearchField] => [name, always('date', null)]),
  ...[
    'language_override',
    'browser',
    'browser_language',
    'os',
    'location.country',
    'location.region',
    'location.city',
    'segment_id',
    'ios_app_version',
    'ios_device',
    'ios_app_device',
    'ios_os_version',
    'ios_app_name',
    'ios_sdk_version',
    'android_app_version',
    'android_device',
    'android_app_name',
    'android_sdk_version',
  ].map((name): [string, SearchField] => [name, always('string', null)]),
]);

const CUSTOM = 'custom_attributes.';

export function findField(name: string, attributes: Attributes): SearchField | undefined {
  if (!name.startsWith(CUSTOM)) return FIELDS.get(name);
  const key = name.slice(CUSTOM.length);
  const attribute = attributes.find('contact', key);
  if (!attribute) return undefined;
  const type = attribute.data_type === 'float' ? 'integer' : attribute.data_type;
  return { type, read: (contact) => contact.custom_attributes[key] ?? null };
}
