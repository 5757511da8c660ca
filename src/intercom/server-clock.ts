export type ServerClock = {
  now(): number;
  /** An answer with this `Date` (Unix ms, whole seconds) has just come, `tookMs` after its call. */
  compare(dateMs: number, tookMs: number): void;
  /** Somebody else knows for certain that it is as late as this, unless it contradicts what is known here. */
  reach(atMs: number): void;
};

/**
 * Intercom's clock by the `Date` of its answers. Each answer bounds the difference of the clocks on both sides; the
 * earliest possible server time is taken, so that a window is never thought to have begun before it has.
 */
export function createServerClock(localNow: () => number): ServerClock {
  let earliestMs = -Infinity; // bounds of server time minus local time
  let latestMs = Infinity;

  return {
    now: () => localNow() + (Number.isFinite(earliestMs) ? earliestMs : 0),
    compare(dateMs, tookMs) {
      const receivedMs = localNow();
      const low = dateMs - receivedMs;
      const high = dateMs + 1000 - (receivedMs - tookMs);
      if (low > latestMs || high < earliestMs) {
        // One of the clocks was set.
        earliestMs = low;
        latestMs = high;
        return;
      }
      earliestMs = Math.max(earliestMs, low);
      latestMs = Math.min(latestMs, high);
    },
    reach(atMs) {
      const low = atMs - localNow();
      if (low <= latestMs) earliestMs = Math.max(earliestMs, low);
    },
  };
}
