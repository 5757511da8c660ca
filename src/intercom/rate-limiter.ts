import { setImmediate } from 'node:timers/promises';
import type { QuotaAsk, QuotaPool, QuotaShare } from './quota-pool.ts';
import { createServerClock } from './server-clock.ts';

/**
 * Paces calls to Intercom's quota: windows of 10 seconds on Intercom's clock, whose limit is read from
 * `X-RateLimit-Limit` and never assumed (developers.intercom.com, "Rate limiting").
 *
 * Until the first answer tells the limit, one call is under way at a time. `Remaining` counts before the current
 * call, and falls by itself when other apps share the quota; the budget follows the lower of both counts. The local
 * clock is corrected by the `Date` of the answers.
 *
 * With a pool, several processes use one budget: each sends only what the pool has granted it, and asks for more when
 * as many calls as it has use for may be sent by the pace of all. Until it has seen its own first answer, each sends
 * one call at a time, and the pool hears of it by Intercom's count.
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
/** Between two calls, where the quota is known: a hundred at the edge of a window would keep senders waiting. */
const gapMs = 2;
/** Several calls a look, when many wait. */
const shortestWaitMs = 5;
/** A `Reset` further away is not believed. */
const longestWaitMs = 60_000;
/** Of a window's budget, in one grant: few questions, and no process gets far ahead of the others. */
const chunkShare = 1 / 50;
const smallestChunk = 8;
/** Of what a process has sent in a window, in a grant beyond what waits; at most this is left unused. */
const aheadShare = 1 / 20;
/** After a grant of less than was wanted, more or less by chance: else those who were faster would always be so. */
const askAgainMs = 250;
const unreachableMs = 500;

export function createRateLimiter(options: {
  share: number;
  pool?: QuotaPool | undefined;
  now?: () => number;
}): RateLimiter {
  const { pool } = options;
  const clock = createServerClock(options.now ?? steadyNow);
  let limit: number | null = null;
  let window = 0;
  let used = 0; // in this window, by our count (with a pool: everybody's) or by Intercom's, whichever is higher
  let counted = 0; // in this window, by Intercom
  let sent = 0; // in this window, by this process
  let granted = 0; // by the pool for this window, and not sent yet; negative: sent before it could be asked
  let isAsking = false;
  let askAtMs = 0; // by Intercom's clock, not before
  let toldPauseMs = 0; // what the pool knows of `pausedUntilMs`
  let inFlight = 0;
  let nextAtMs = 0; // by Intercom's clock
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

  /** When the next call may go, by Intercom's clock; with a pool: as many as are worth a question. */
  function opensAtMs(urgent: boolean): number {
    const all = budget(urgent);
    if (used >= all) return (window + 1) * windowMs;
    if (urgent || all === Infinity) return now();
    const calls = isShared() ? Math.min(waiters.length, Math.ceil(all * chunkShare), all - used) : 1;
    const burst = Math.max(smallestBurst, Math.ceil(all * burstShare));
    return window * windowMs + ((used + calls - burst) / all) * spreadMs;
  }

  function roll(): void {
    const current = Math.floor(now() / windowMs);
    if (current === window) return;
    window = current;
    used = 0;
    counted = 0;
    sent = 0;
    granted = 0;
    askAtMs = 0;
    nextAtMs = 0;
  }

  function isShared(): boolean {
    return pool !== undefined && limit !== null && limit < Infinity;
  }

  function mayGo(urgent: boolean): boolean {
    roll();
    if (now() < Math.max(pausedUntilMs, urgent ? 0 : nextAtMs)) return false;
    if (limit === null) return inFlight === 0;
    if (isShared()) return granted > 0 && counted < budget(true);
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
    if (isShared() || limit === null) granted -= 1;
    if (!isShared()) used += 1;
    sent += 1;
    inFlight += 1;
    if (limit === null || limit === Infinity) return;
    // Never slower than twice the pace of the quota; a look makes up for what came due since the last.
    const gap = Math.min(gapMs, spreadMs / budget(false) / 2);
    nextAtMs = Math.max(nextAtMs, now() - shortestWaitMs) + gap;
  }

  function admit(): void {
    clearTimeout(timer);
    timer = undefined;
    while (waiters.length > 0 && mayGo(waiters[0]!.urgent)) {
      go();
      waiters.shift()!.resolve();
    }
    if (pool && isShared() && pausedUntilMs > Math.max(now(), toldPauseMs) && now() >= askAtMs) void ask(pool);
    if (waiters.length === 0 || isAsking || (limit === null && now() >= pausedUntilMs)) return;
    const { urgent } = waiters[0]!;
    const isGranted = isShared() && granted > 0 && counted < budget(true);
    const opensMs = isGranted ? now() : Math.max(askAtMs, opensAtMs(urgent));
    const atMs = Math.max(pausedUntilMs, urgent ? 0 : nextAtMs, opensMs);
    if (pool && isShared() && atMs <= now()) void ask(pool);
    else timer = setTimeout(admit, Math.max(shortestWaitMs, Math.ceil(atMs - now())));
  }

  async function ask(from: QuotaPool): Promise<void> {
    if (isAsking) return; // and looks again when it is answered
    isAsking = true;
    await setImmediate(); // those who come at once are asked for at once
    roll();
    const urgent = waiters[0]?.urgent ?? false;
    const asked: QuotaAsk = {
      window,
      nowMs: Math.floor(now()),
      want: now() < pausedUntilMs ? 0 : wanted(urgent),
      upTo: allowance(urgent),
      counted,
      pausedUntilMs: Math.ceil(pausedUntilMs),
      limitedWindow,
    };
    const share = await from.take(asked);
    isAsking = false;
    roll();
    if (share) takeIn(share, asked);
    else askAtMs = now() + unreachableMs;
    admit();
  }

  function wanted(urgent: boolean): number {
    const owed = Math.max(0, -granted);
    if (urgent) return owed + waiters.filter((waiter) => waiter.urgent).length;
    const chunk = Math.max(smallestChunk, Math.ceil(budget(false) * chunkShare));
    return owed + Math.min(Math.max(waiters.length, Math.floor(sent * aheadShare)), chunk);
  }

  function takeIn(share: QuotaShare, asked: QuotaAsk): void {
    clock.reach(share.nowMs);
    roll();
    toldPauseMs = share.pausedUntilMs;
    if (toldPauseMs < now() + longestWaitMs) pausedUntilMs = Math.max(pausedUntilMs, toldPauseMs);
    if (share.limitedWindow <= window) limitedWindow = Math.max(limitedWindow, share.limitedWindow);
    if (share.window === window) {
      used = Math.max(counted, share.used);
      granted += share.granted;
    }
    if (share.granted < asked.want && asked.window === window) askAtMs = now() + askAgainMs * (0.5 + Math.random());
  }

  function giveBack(): void {
    inFlight = Math.max(0, inFlight - 1);
    if (!isShared()) used = Math.max(0, used - 1); // a grant may be of the window before, and expires
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
      counted = Math.max(counted, limit - answer.remaining + 1);
      used = Math.max(used, counted);
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

/** Whoever sets the machine's clock must not make a pause last until that time comes again. */
function steadyNow(): number {
  return performance.timeOrigin + performance.now();
}
