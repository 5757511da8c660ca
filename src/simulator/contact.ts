/** What a contact is made of; the rest of Intercom's 60 keys is derived from it or never set here. */
export type ContactFields = {
  readonly id: string;
  readonly role: 'user' | 'lead';
  readonly external_id: string | null;
  readonly email: string | null;
  readonly phone: string | null;
  readonly name: string | null;
  readonly avatar: string | null;
  readonly owner_id: number | null;
  readonly unsubscribed_from_emails: boolean;
  readonly created_at: number;
  readonly updated_at: number;
  readonly signed_up_at: number | null;
  readonly last_seen_at: number | null;
  readonly custom_attributes: Readonly<Record<string, Scalar>>;
  readonly companyIds: readonly string[];
};
export type Scalar = string | number | boolean | null;

/** The contact as the API shows it. */
export type Contact = ReturnType<typeof toContact>;

export function toContact(fields: ContactFields, workspaceId: string) {
  const { id, email, phone, avatar, companyIds } = fields;
  const path = `/contacts/${id}`;
  return {
    type: 'contact',
    id,
    workspace_id: workspaceId,
    external_id: fields.external_id,
    role: fields.role,
    email,
    email_domain: emailDomain(email),
    phone,
    formatted_phone: phone === null ? null : formatPhone(phone),
    name: fields.name,
    avatar: avatar === null ? null : { type: 'avatar', image_url: avatar },
    owner_id: fields.owner_id,
    social_profiles: NO_PROFILES,
    has_hard_bounced: false,
    marked_email_as_spam: false,
    unsubscribed_from_emails: fields.unsubscribed_from_emails,
    created_at: fields.created_at,
    updated_at: fields.updated_at,
    signed_up_at: fields.signed_up_at,
    last_seen_at: fields.last_seen_at,
    location: NOWHERE,
    custom_attributes: fields.custom_attributes,
    tags: emptyList(`${path}/tags`),
    notes: emptyList(`${path}/notes`),
    companies: {
      type: 'list',
      data: companyIds.slice(0, 10).map((company) => ({ id: company, type: 'company', url: `/companies/${company}` })),
      url: `${path}/companies`,
      total_count: companyIds.length,
      has_more: companyIds.length > 10,
    },
    opted_out_subscription_types: emptyList(`${path}/subscriptions`),
    opted_in_subscription_types: emptyList(`${path}/subscriptions`),
    ...NEVER_SET,
  };
}

export function emailDomain(email: string | null): string | null {
  return email?.split('@')[1] ?? null;
}

/** Documented as E.164. Only an international number can be brought into that form without a country. */
function formatPhone(phone: string): string | null {
  return phone.trim().startsWith('+') ? `+${phone.replace(/\D/g, '')}` : null;
}

function emptyList(url: string) {
  return { type: 'list', data: NOTHING, url, total_count: 0, has_more: false };
}

const NOTHING: readonly never[] = [];
const NO_PROFILES = { type: 'list', data: NOTHING };
const NOWHERE = { type: 'location', country: null, region: null, city: null, country_code: null, continent_code: null };

/** Filled by the Messenger, the mobile SDKs and email alone, which have no part here. */
const NEVER_SET = {
  last_replied_at: null,
  last_contacted_at: null,
  last_email_opened_at: null,
  last_email_clicked_at: null,
  language_override: null,
  browser: null,
  browser_version: null,
  browser_language: null,
  os: null,
  android_app_name: null,
  android_app_version: null,
  android_device: null,
  android_os_version: null,
  android_sdk_version: null,
  android_last_seen_at: null,
  ios_app_name: null,
  ios_app_version: null,
  ios_device: null,
  ios_os_version: null,
  ios_sdk_version: null,
  ios_last_seen_at: null,
  utm_campaign: null,
  utm_content: null,
  utm_medium: null,
  utm_source: null,
  utm_term: null,
  referrer: null,
};
