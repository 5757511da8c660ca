/** The version that a request without the header gets: the one set on the app. */
export const DEFAULT_VERSION = '2.11';

const VERSIONS = ['1.0', '1.1', '1.2', '1.3', '1.4', ...Array.from({ length: 18 }, (_, minor) => `2.${minor}`)];
const KNOWN = new Set([...VERSIONS, 'Preview', 'Unstable']);

/** Endpoints that are newer than 2.11, and the first version to have them. */
const NEWER = new Map([
  ['GET /contacts/find_by_external_id/{id}', '2.13'],
  // Bulk writes exist in the preview alone, and are not simulated there either.
  ['POST /contacts/bulk', 'never'],
  ['PUT /contacts/bulk', 'never'],
  ['POST /companies/bulk', 'never'],
  ['PUT /companies/bulk', 'never'],
]);

export function isKnownVersion(version: string): boolean {
  return KNOWN.has(version);
}

/** Inferred for 2.11; the refusal's text is documented for later versions. */
export function isTooNew(endpoint: string, version: string): boolean {
  const since = NEWER.get(endpoint);
  if (since === undefined) return false;
  if (since === 'never') return true;
  return VERSIONS.includes(version) && VERSIONS.indexOf(version) < VERSIONS.indexOf(since);
}
