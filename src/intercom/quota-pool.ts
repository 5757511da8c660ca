/**
 * The count of a workspace's calls that the limiters of several processes share. Windows are numbered by Intercom's
 * clock, which each limiter knows from the `Date` of its own answers: so no other clock has to be right.
 */
export type QuotaPool = {
  /**
   * Takes calls of a window and tells what is known of it, in one atomic step. What is granted and not used expires
   * with the window. Null: the count can't be reached, and nothing is granted. Rejects only on a bug.
   */
  take(ask: QuotaAsk): Promise<QuotaShare | null>;
};

export type QuotaAsk = {
  window: number;
  /** Intercom's time, or a little less, as known here. */
  nowMs: number;
  /** None: only to tell. */
  want: number;
  /** Not more than what leaves the calls of all, and of other apps, at this. */
  upTo: number;
  /** What Intercom itself has counted in the window, other apps included, as far as its answers here told. */
  counted: number;
  /** By Intercom's clock; 0: it is not paused. */
  pausedUntilMs: number;
  /** The last window in which Intercom answered 429; -1: none. */
  limitedWindow: number;
};

export type QuotaShare = {
  /** One later than was asked for: somebody knows that it has begun. */
  window: number;
  /** Intercom's time as known best by any of them: whose clock is late would be so with each question, and get less. */
  nowMs: number;
  granted: number;
  /** By all in that window, these included. */
  used: number;
  pausedUntilMs: number;
  limitedWindow: number;
};
