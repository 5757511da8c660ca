/** The `Prefer` header (RFC 7240): how long the sender is willing to wait for Intercom's own answer. */
export type Preference = { waitMs: number; applied: string | null };

const longestWaitMs = 60_000;

export function readPreference(header: string | string[] | undefined, defaultWaitMs: number): Preference {
  if (header === undefined) return { waitMs: defaultWaitMs, applied: null };
  const wishes = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((wish) => wish.trim().split(';')[0]!.trim());
  for (const wish of wishes) {
    const wait = /^wait\s*=\s*"?(\d{1,9})"?$/i.exec(wish);
    if (wait) {
      const waitMs = Math.min(Number(wait[1]) * 1000, longestWaitMs);
      return { waitMs, applied: `wait=${waitMs / 1000}` };
    }
  }
  if (wishes.some((wish) => wish.toLowerCase() === 'respond-async')) return { waitMs: 0, applied: 'respond-async' };
  return { waitMs: defaultWaitMs, applied: null };
}
