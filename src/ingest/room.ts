/** A bounded amount of something that several want at once: who finds none waits in line for a while. */
export type Room = {
  /** Resolves with how to give it back (may be called twice), or with null if there was none in time. */
  enter(amount: number): Promise<Leave | null>;
};

export type Leave = () => void;

export type RoomOptions = {
  /** Whoever wants more than all of it is let in alone. */
  amount: number;
  waitMs: number;
  /** While it takes much longer than this from entering to leaving, the room is made smaller, down to `least`. */
  pace?: { ms: number; least: number };
  /** ms, of a clock that nobody sets. */
  now?: () => number;
};

type Waiter = { amount: number; admit(leave: Leave): void };

export function createRoom({ amount, waitMs, pace, now = () => performance.now() }: RoomOptions): Room {
  let all = pace ? amount / 4 : amount; // grows as fast as it proves too small
  let taken = 0;
  let longestMs = 0;
  let lookedAtMs = now();
  const waiters = new Set<Waiter>();

  /** Once in the time that a stay should take: the longest one tells how much is too much. */
  function adapt({ ms, least }: { ms: number; least: number }, stayedMs: number): void {
    longestMs = Math.max(longestMs, stayedMs);
    const nowMs = now();
    if (nowMs - lookedAtMs < ms) return;
    if (longestMs > 1.5 * ms) all = Math.max(least, all * 0.7);
    else if (longestMs < ms) all = Math.min(amount, all * 1.3);
    longestMs = 0;
    lookedAtMs = nowMs;
  }

  function take(part: number): Leave {
    taken += part;
    const enteredMs = now();
    let isInside = true;
    return () => {
      if (!isInside) return;
      isInside = false;
      taken -= part;
      if (pace) adapt(pace, now() - enteredMs);
      for (const waiter of waiters) {
        if (!fits(waiter.amount)) return;
        waiters.delete(waiter);
        waiter.admit(take(waiter.amount));
      }
    };
  }

  const fits = (part: number): boolean => taken === 0 || taken + part <= all;

  return {
    async enter(part) {
      if (waiters.size === 0 && fits(part)) return take(part);
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          waiters.delete(waiter);
          resolve(null);
        }, waitMs);
        const waiter: Waiter = {
          amount: part,
          admit(leave) {
            clearTimeout(timer);
            resolve(leave);
          },
        };
        waiters.add(waiter);
      });
    },
  };
}
