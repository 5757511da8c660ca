/** Intercom's API hosts by region (developers.intercom.com, REST API, "Regional hosting"). */
export const regionUrls = {
  us: 'https://api.intercom.io',
  eu: 'https://api.eu.intercom.io',
  au: 'https://api.au.intercom.io',
} as const;

export type Region = keyof typeof regionUrls;
const regions: readonly Region[] = ['us', 'eu', 'au'];

/** `intercomApiUrl` takes the place of the region's host; for a simulator. */
type IntercomApi = { intercomApiUrl: string | null };

/** Where an installation's calls go. */
export function apiUrlOf({ intercomApiUrl }: IntercomApi, region: Region | null): string {
  return intercomApiUrl ?? regionUrls[region ?? 'us'];
}

/** Every region's host; none where a simulator stands in for all of them. */
export function regionHosts({ intercomApiUrl }: IntercomApi): { region: Region; baseUrl: string }[] {
  if (intercomApiUrl !== null) return [];
  return regions.map((region) => ({ region, baseUrl: regionUrls[region] }));
}
