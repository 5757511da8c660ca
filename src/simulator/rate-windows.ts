export type RateLimits = { limitPerMinute: number; workspaceLimitPerMinute: number };
export type RateState = {
  limit: number;
  /** Recorded: counted before the request that it stands on, so the first one of a window shows the whole limit. */
  remaining: number;
  resetSeconds: number;
  /** The limit that refuses this request, if one does. */
  exceeded?: number;
};

const WINDOW_MS = 10_000;
const WINDOWS_PER_MINUTE = 6;
/** Stands for "no limit" in the header, which always carries a number. */
const UNLIMITED = 1_000_000_000;

/**
 * Recorded: the minute's budget is split into windows of ten seconds, aligned to the wall clock; each holds a
 * sixth, rounded up, and nothing is carried over. Every authenticated request counts, whatever it is answered.
 * Documented: the workspace has a pool of its own, which other apps empty as well; it may refuse while the
 * token's own budget is not used up.
 */
export function createRateWindows({
  limits,
  now,
  resetOffsetSeconds,
}: {
  limits: RateLimits;
  now: () => number;
  resetOffsetSeconds: number;
}) {
  let windowStart = 0;
  let usedByAll = 0;
  const usedByToken = new Map<string, number>();

  return {
    take(token: string): RateState {
      const start = Math.floor(now() / WINDOW_MS) * WINDOW_MS;
      if (start !== windowStart) {
        windowStart = start;
        usedByAll = 0;
        usedByToken.clear();
      }
      const used = usedByToken.get(token) ?? 0;
      const limit = perWindow(limits.limitPerMinute);
      const pool = perWindow(limits.workspaceLimitPerMinute);
      const state = {
        limit,
        remaining: Math.max(0, limit - used),
        // Recorded: up to two seconds after the window's true end.
        resetSeconds: (start + WINDOW_MS) / 1000 + resetOffsetSeconds,
      };
      const exceeded = used >= limit ? limit : usedByAll >= pool ? pool : undefined;
      usedByToken.set(token, used + 1);
      usedByAll += 1;
      return exceeded === undefined ? state : { ...state, exceeded };
    },
  };
}

function perWindow(perMinute: number): number {
  return Number.isFinite(perMinute) ? Math.ceil(perMinute / WINDOWS_PER_MINUTE) : UNLIMITED;
}
