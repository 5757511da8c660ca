import { asObject } from './event.ts';

export type ConsentCategory = 'functional' | 'marketing';

/** Where in the event the consent was read. `absent`: the event carries none; `invalid`: it is no object. */
export type ConsentForm = 'canonical' | 'categories' | 'flat' | 'google' | 'absent' | 'invalid';

/** Why an event may be sent or not: the category it needs, where that was read, and what stood there. */
export type ConsentDecision = {
  granted: boolean;
  category: ConsentCategory;
  form: ConsentForm;
  /** The key that decided; null where none was found. */
  key: string | null;
  value: unknown;
};

/**
 * Decides one category on the consent of an event.
 *
 * The first form that the object has decides alone: canonical, else CMP categories, else flat keys, else Google's.
 * Whatever is missing, or is anything but `true`, is not granted; only an event without any consent falls to
 * `whenAbsent`. Signal documents the forms in its event schema, consent and integration-config pages.
 */
export function decideConsent(
  consent: unknown,
  category: ConsentCategory,
  whenAbsent: 'allow' | 'deny',
): ConsentDecision {
  if (consent === undefined || consent === null) {
    return { granted: whenAbsent === 'allow', category, form: 'absent', key: null, value: null };
  }
  if (typeof consent !== 'object' || Array.isArray(consent)) {
    return { granted: false, category, form: 'invalid', key: null, value: describe(consent) };
  }
  const object = asObject(consent);
  if (isPresent(object.canonical)) return decide(object.canonical, 'canonical', category, canonicalKeys[category]);
  if (isPresent(object.categories)) return decide(object.categories, 'categories', category, cmpKeys[category]);
  if (isGoogleOnly(object)) return decideGoogle(object, category);
  return decide(object, 'flat', category, flatKeys[category]);
}

const canonicalKeys = { functional: ['functional'], marketing: ['marketing'] };

/** `advertising` stands only in the flat form; the canonical vocabulary counts it as marketing. */
const flatKeys = { functional: ['functional'], marketing: ['marketing', 'advertising'] };

/**
 * What the consent platforms call the two: Cookiebot `preferences` and `marketing`, OneTrust C0003 and C0004,
 * IAB purposes 5 and 2, 3, 4, 7. Several codes of one category are OR-merged, as Signal does.
 */
const cmpKeys = {
  functional: ['functional', 'preferences', 'functionality', 'c0003', '5'],
  marketing: ['marketing', 'advertising', 'targeting', 'c0004', '2', '3', '4', '7'],
};

/** Google Consent Mode: Signal derives the `ad_…` ones from marketing. */
const googleKeys = {
  functional: ['functionality_storage'],
  marketing: ['ad_storage', 'ad_user_data', 'ad_personalization'],
};
const allGoogleKeys = new Set([
  ...googleKeys.functional,
  ...googleKeys.marketing,
  'analytics_storage',
  'personalization_storage',
  'security_storage',
]);

function decide(view: unknown, form: ConsentForm, category: ConsentCategory, names: string[]): ConsentDecision {
  if (typeof view !== 'object' || view === null || Array.isArray(view)) {
    return { granted: false, category, form, key: null, value: describe(view) };
  }
  // The usual spelling, and the one that outweighs all others, needs no search.
  const exact = Object.hasOwn(view, category) ? asObject(view)[category] : undefined;
  if (exact !== undefined) {
    return { granted: exact === true, category, form, key: category, value: describe(exact) };
  }
  const byName = new Map(Object.entries(view).map(([key, value]) => [key.toLowerCase(), { key, value }]));
  const found = names.flatMap((name) => byName.get(name) ?? []);
  // The category under its own name outweighs the codes that may stand for it.
  const own = found.find(({ key }) => key.toLowerCase() === category);
  const deciding = own ?? found.find(({ value }) => value === true) ?? found[0];
  if (!deciding) return { granted: false, category, form, key: null, value: null };
  return { granted: deciding.value === true, category, form, key: deciding.key, value: describe(deciding.value) };
}

function isGoogleOnly(object: Record<string, unknown>): boolean {
  const keys = Object.keys(object);
  return keys.length > 0 && keys.every((key) => allGoogleKeys.has(key.toLowerCase()) || !isPresent(object[key]));
}

/** All of them must agree: where one is denied, the purpose is not granted. */
function decideGoogle(object: Record<string, unknown>, category: ConsentCategory): ConsentDecision {
  const found = googleKeys[category].flatMap((name) =>
    Object.entries(object).filter(([key, value]) => key.toLowerCase() === name && isPresent(value)),
  );
  const refusing = found.find(([, value]) => !isGoogleGrant(value));
  const [key, value] = refusing ?? found[0] ?? [null, null];
  return { granted: found.length > 0 && !refusing, category, form: 'google', key, value: describe(value) };
}

/** Google's words are `granted` and `denied`; Signal's own configuration matches them as the texts true and false. */
function isGoogleGrant(value: unknown): boolean {
  return value === true || value === 'true' || value === 'granted';
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null;
}

/** A decision is kept for a week: what stood there is shortened, whatever it was. */
function describe(value: unknown): unknown {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return value;
  return (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).slice(0, 100);
}
