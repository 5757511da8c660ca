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
};

type Waiter = { amount: number; admit(leave: Leave): void };

export function createRoom({ amount: all, waitMs }: RoomOptions): Room {
  let taken = 0;
  const waiters = new Set<Waiter>();

  function take(amount: number): Leave {
    taken += amount;
    let isInside = true;
    return () => {
      if (!isInside) return;
      isInside = false;
      taken -= amount;
      for (const waiter of waiters) {
        if (!fits(waiter.amount)) return;
        waiters.delete(waiter);
        waiter.admit(take(waiter.amount));
      }
    };
  }

  const fits = (amount: number): boolean => taken === 0 || taken + amount <= all;

  return {
    async enter(amount) {
      if (waiters.size === 0 && fits(amount)) return take(amount);
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          waiters.delete(waiter);
          resolve(null);
        }, waitMs);
        const waiter: Waiter = {
          amount,
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
