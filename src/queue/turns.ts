/** One at a time for each key, in the order of asking; resolves with what ends the turn. */
export type Turns = (key: string) => Promise<() => void>;

export function createTurns(): Turns {
  const last = new Map<string, Promise<void>>();

  return async (key) => {
    const before = last.get(key);
    const { promise, resolve } = Promise.withResolvers<void>();
    last.set(key, promise);
    await before;
    return () => {
      if (last.get(key) === promise) last.delete(key);
      resolve();
    };
  };
}
