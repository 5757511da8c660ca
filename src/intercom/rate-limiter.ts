/**
 * Paces calls to Intercom's quota: windows of 10 seconds on the wall clock, whose limit is read from
 * `X-RateLimit-Limit` and never assumed (developers.intercom.com, "Rate limiting").
 *
 * Until the first answer tells the limit, one call is under way at a time. `Remaining` counts before the current
 * call, and falls by itself when other apps share the quota; the budget follows the lower of both counts. The local
 * clock is corrected by the `Date` of the answers.
 */
export type RateLimiter = {
  /** Resolves when one call may be sent; urgent calls (preflight, probes) go before the others. */
  take(signal: AbortSignal, urgent?: boolean): Promise<void>;
  /** Reads what an answer says of the quota. Call once for each `take`; without headers after a failed call. */
  learn(answer: RateAnswer): void;
  /** Instead of `learn`, for a call that was not sent after all. */
  giveBack(): void;
  state(): { limit: number | null; used: number; waiting: number; windowEndsAtMs: number };
};

export type RateAnswer = {
  limit?: number | undefined;
  remaining?: number | undefined;
  resetSeconds?: number | undefined;
  /** The server's `Date`, Unix ms, in whole seconds. */
  dateMs?: number | undefined;
  /** Of a proxy, or of an Intercom to come: today's sends none. */
  retryAfterSeconds?: number | undefined;
  /** Whether Intercom answered at all, to a token that it knows: only then a missing limit says something. */
  isTelling: boolean;
  /** From sending the call to its answer. */
  tookMs: number;
  limited: boolean;
};

const windowMs = 10_000;
const afterEndMs = 20;
const urgentCalls = 2;
/** The budget is used up after this much of a window, so that slow answers don't leave a rest of it unused. */
const spreadMs = 8500;
const burstShare = 0.05;
const smallestBurst = 64;
/** Several calls a look, when many wait. */
const shortestWaitMs = 5;
/** A `Reset` further away is not believed. */
const longestWaitMs = 60_000;

export function createRateLimiter(options: { share: number; now?: () => number }): RateLimiter {
  const localNow = options.now ?? Date.now;
  const clock = createServerClock(localNow);
  let limit: number | null = null;
  let window = 0;
  let used = 0; // sent in this window, by our count or by Intercom's, whichever is higher
  let inFlight = 0;
  let pausedUntilMs = 0; // by Intercom's clock
  let limitedWindow = -1; // the last one in which Intercom answered 429
  let waiters: { resolve(): void; urgent: boolean }[] = [];
  let timer: NodeJS.Timeout | undefined;

  const { now } = clock;

  /** A backlog leaves a few calls of each window to the preflight, so that it can't be starved. */
  function budget(urgent: boolean): number {
    if (limit === null) return Infinity;
    const share = Math.max(1, Math.floor(limit * options.share));
    return urgent || share < 50 * urgentCalls ? share : share - urgentCalls;
  }

  /**
   * How much of the window's budget may be used by now: a backlog is spread over the window, since 1,667 calls at its
   * beginning would keep the event loop from the senders for a second. A few calls may always go at once.
   */
  function allowance(urgent: boolean): number {
    const all = budget(urgent);
    if (urgent || all === Infinity) return all;
    const elapsed = (now() % windowMs) / spreadMs;
    return Math.min(all, Math.floor(all * elapsed) + Math.max(smallestBurst, Math.ceil(all * burstShare)));
  }

  /** When the next call may go, by Intercom's clock. */
  function opensAtMs(urgent: boolean): number {
    const all = budget(urgent);
    if (used >= all) return (window + 1) * windowMs;
    if (urgent || all === Infinity) return now();
    const burst = Math.max(smallestBurst, Math.ceil(all * burstShare));
    return window * windowMs + ((used + 1 - burst) / all) * spreadMs;
  }

  function roll(): void {
    const current = Math.floor(now() / windowMs);
    if (current === window) return;
    window = current;
    used = 0;
  }

  function mayGo(urgent: boolean): boolean {
    roll();
    if (now() < pausedUntilMs) return false;
    if (limit === null) return inFlight === 0;
    return used < allowance(urgent);
  }

  function take(signal: AbortSignal, urgent = false): Promise<void> {
    if (signal.aborted) return Promise.reject(signal.reason);
    if (waiters.length === 0 && mayGo(urgent)) {
      go();
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        waiters = waiters.filter((other) => other !== waiter);
        reject(signal.reason);
      };
      const waiter = {
        urgent,
        resolve: () => {
          signal.removeEventListener('abort', abort);
          resolve();
        },
      };
      signal.addEventListener('abort', abort, { once: true });
      if (urgent) waiters.unshift(waiter);
      else waiters.push(waiter);
      admit();
    });
  }

  function go(): void {
    used += 1;
    inFlight += 1;
  }

  function admit(): void {
    clearTimeout(timer);
    timer = undefined;
    while (waiters.length > 0 && mayGo(waiters[0]!.urgent)) {
      go();
      waiters.shift()!.resolve();
    }
    if (waiters.length === 0 || (limit === null && now() >= pausedUntilMs)) return;
    const atMs = Math.max(pausedUntilMs, opensAtMs(waiters[0]!.urgent));
    timer = setTimeout(admit, Math.max(shortestWaitMs, Math.ceil(atMs - now())));
  }

  function giveBack(): void {
    inFlight = Math.max(0, inFlight - 1);
    used = Math.max(0, used - 1);
    admit();
  }

  function learn(answer: RateAnswer): void {
    inFlight = Math.max(0, inFlight - 1);
    if (answer.dateMs !== undefined) clock.compare(answer.dateMs, answer.tookMs);
    roll();
    if (answer.limit !== undefined && answer.limit > 0) limit = answer.limit;
    else if (answer.isTelling) limit ??= Infinity;
    if (answer.remaining !== undefined && limit !== null && limit < Infinity && isThisWindow(answer)) {
      // What others took, and what we sent before the window began and Intercom counts in it.
      used = Math.max(used, limit - answer.remaining + 1);
    }
    if (answer.limited) pause(answer);
    admit();
  }

  /**
   * Until the window ends. Intercom's `Reset` lies up to 2 s behind that, a fifth of the next window: it is waited
   * for only where the end of the window turned out to be too early.
   */
  function pause(answer: RateAnswer): void {
    const endsAtMs = (window + 1) * windowMs + afterEndMs;
    const askedMs = answer.retryAfterSeconds === undefined ? 0 : now() + answer.retryAfterSeconds * 1000;
    const toldMs = askedMs || (answer.resetSeconds ?? 0) * 1000;
    const again = askedMs > 0 || limitedWindow === window - 1;
    const untilMs = again && toldMs > endsAtMs && toldMs < now() + longestWaitMs ? toldMs : endsAtMs;
    limitedWindow = window;
    pausedUntilMs = Math.max(pausedUntilMs, untilMs);
  }

  /** An answer of the window before may arrive in this one; its count says nothing of now. */
  function isThisWindow(answer: RateAnswer): boolean {
    return answer.dateMs === undefined || Math.floor(answer.dateMs / windowMs) === window;
  }

  return {
    take,
    learn,
    giveBack,
    state: () => {
      roll();
      return { limit, used, waiting: waiters.length, windowEndsAtMs: (window + 1) * windowMs };
    },
  };
}

/**
 * Intercom's clock by the `Date` of its answers. Each answer bounds the difference of the clocks on both sides; the
 * earliest possible server time is taken, so that a window is never thought to have begun before it has.
 */
function createServerClock(localNow: () => number) {
  let earliestMs = -Infinity; // bounds of server time minus local time
  let latestMs = Infinity;

  return {
    now: (): number => localNow() + (Number.isFinite(earliestMs) ? earliestMs : 0),
    compare(dateMs: number, tookMs: number): void {
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
  };
}
