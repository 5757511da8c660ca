import { asObject, isSha256, plainEmail, type SignalEvent } from '../ingest/event.ts';
import { fitText, readText, type Scalar } from './attribute-value.ts';
import { readPhone } from './phone.ts';
import { readDate, readTraits, withoutGaps, type Traits } from './traits.ts';
import type { Warn } from './warning.ts';

export type Contact = {
  email?: string;
  phone?: string;
  name?: string;
  avatar?: string;
  signed_up_at?: number;
  unsubscribed_from_emails?: boolean;
  owner_id?: number;
};

/** Ids travel outside the attributes, and `role` and `type` are Intercom's own words. */
const reserved: ReadonlySet<string> = new Set(
  'id userid externalid anonymousid groupid messageid workspaceid role type'.split(' '),
);

/** The fields that a person's traits fill, and all other traits as custom attributes. */
export function buildContact(
  event: SignalEvent,
  warn: Warn,
): { contact: Contact; customAttributes: Record<string, Scalar> } {
  const merged = mergeTraits(asObject(event.context.traits), event.traits);
  const traits = readTraits(merged, warn);
  const contact = withoutGaps({
    email: readEmail(event, traits, warn),
    phone: readContactPhone(merged, event.context, traits, warn),
    name: readName(traits, warn),
    avatar: readAvatar(traits, warn),
    signed_up_at: readDate(traits, ['signedupat', 'createdat'], warn),
    unsubscribed_from_emails: readUnsubscribed(traits, warn),
    owner_id: readOwner(merged, traits),
  });
  return { contact, customAttributes: traits.rest(reserved) };
}

/** The event's own traits win, but a null there does not hide what the context knows. */
function mergeTraits(known: Record<string, unknown>, own: Record<string, unknown>): Record<string, unknown> {
  const present = Object.entries(own).filter(([, value]) => value !== null && value !== '');
  return { ...known, ...Object.fromEntries(present) };
}

function readEmail(event: SignalEvent, traits: Traits, warn: Warn): string | undefined {
  const sent = traits.take(['email']);
  const email = event.email ?? plainEmail(sent?.value);
  if (email === undefined && sent !== undefined) {
    if (isSha256(sent.value)) warn('hashed_email', hashed('email'), sent.key);
    else warn('email_invalid', 'the email is no address and was left out: send it as name@example.com', sent.key);
  }
  return email;
}

function hashed(field: string): string {
  const cause = `the ${field} came hashed, which Intercom cannot use, and was left out`;
  return `${cause}: take ${field} out of the hashed fields of Signal's privacy rules`;
}

function readContactPhone(
  merged: Record<string, unknown>,
  context: Record<string, unknown>,
  traits: Traits,
  warn: Warn,
): string | undefined {
  const sent = traits.takeText('phone', 'phonenumber', 'mobile', 'mobilephone', 'telephone');
  if (sent === undefined) return undefined;
  if (isSha256(sent.text)) {
    warn('hashed_phone', hashed('phone'), sent.key);
    return undefined;
  }
  const phone = readPhone(sent.text, homeCountry(merged, context));
  if (phone === undefined) {
    warn(
      'phone_invalid',
      'the phone is no valid number and was left out: send it with + and the country code, or send a two-letter country',
      sent.key,
    );
  }
  return phone;
}

function homeCountry(merged: Record<string, unknown>, context: Record<string, unknown>): string | undefined {
  const address = asObject(merged.address);
  const region = /[-_]([a-z]{2})$/i.exec(typeof context.locale === 'string' ? context.locale : '')?.[1];
  const candidates = [
    address.country,
    merged.country,
    address.countryCode,
    merged.countryCode,
    merged.country_code,
    region,
  ];
  const country = candidates.find((value) => typeof value === 'string' && /^[a-z]{2}$/i.test(value.trim()));
  return typeof country === 'string' ? country.trim().toUpperCase() : undefined;
}

function readName(traits: Traits, warn: Warn): string | undefined {
  const whole = traits.takeText('name', 'fullname');
  const parts = whole
    ? [whole]
    : [traits.takeText('firstname', 'givenname'), traits.takeText('lastname', 'familyname', 'surname')];
  const sent = parts.filter((part) => part !== undefined);
  const plain = sent.filter(({ text }) => !isSha256(text));
  if (plain.length < sent.length) warn('hashed_name', hashed('name'), sent[0]!.key);
  return plain.length === 0 ? undefined : fitText(plain.map(({ text }) => text).join(' '), 'name', warn);
}

/** Signed addresses of images are long, and cut they would be broken; but an image itself is no address. */
const longestAvatar = 2048;

function readAvatar(traits: Traits, warn: Warn): string | undefined {
  const sent = traits.take(['avatar', 'avatarurl', 'picture']);
  if (sent === undefined) return undefined;
  const holder = asObject(sent.value);
  const url = readText(sent.value) ?? readText(holder.url) ?? readText(holder.image_url) ?? '';
  if (url.length <= longestAvatar && /^https?:\/\//i.test(url) && URL.canParse(url)) return url;
  warn(
    'avatar_invalid',
    `the avatar is no http or https address of at most ${longestAvatar} characters and was left out: send one`,
    sent.key,
  );
  return undefined;
}

function readUnsubscribed(traits: Traits, warn: Warn): boolean | undefined {
  const sent = traits.take(['unsubscribedfromemails']);
  if (sent === undefined) return undefined;
  if (sent.value === true || sent.value === 'true') return true;
  if (sent.value === false || sent.value === 'false') return false;
  warn('boolean_unreadable', `${sent.key} is neither true nor false and was left out`, sent.key);
  return undefined;
}

/**
 * Only as Intercom itself spells it: an id that is no teammate's makes Intercom refuse the whole contact, and an
 * `ownerId` is as likely one of a CRM.
 */
function readOwner(merged: Record<string, unknown>, traits: Traits): number | undefined {
  const id = readText(merged.owner_id) ?? '';
  if (!/^[1-9]\d{0,15}$/.test(id)) return undefined;
  return traits.take(['ownerid'], (value) => value === merged.owner_id) && Number(id);
}
