import { QueueUnavailable } from '../queue.ts';

/**
 * Group commit: what arrives while a transaction runs becomes the next one. No timer and no delay: a slow database makes
 * the groups larger.
 */
export type Groups<Op, Value> = {
  /** Rejects with `QueueUnavailable` when it was not written down in time; it may have been all the same. */
  add(op: Op, weight: number): Promise<Value>;
  /** Resolves when all that was added until now has ended. */
  flushed(): Promise<void>;
};

type Waiting<Op, Value> = {
  op: Op;
  weight: number;
  resolve(value: Value): void;
  reject(error: unknown): void;
  isOver: boolean;
};

export function createGroups<Op, Value>(options: {
  /** All or nothing; one value per op. */
  run(ops: Op[]): Promise<Value[]>;
  weightAtMost: number;
  /** An op that waits for longer is given up, and its sender told so. */
  limitMs: number;
}): Groups<Op, Value> {
  let waiting: Waiting<Op, Value>[] = [];
  let running = false;
  let last: Promise<unknown> = Promise.resolve();

  async function work(): Promise<void> {
    running = true;
    await new Promise(setImmediate);
    for (let group = next(); group.length > 0; group = next()) await runGroup(group);
    running = false;
  }

  function next(): Waiting<Op, Value>[] {
    waiting = waiting.filter(({ isOver }) => !isOver);
    let weight = 0;
    let count = 0;
    for (const one of waiting) {
      if (count > 0 && weight + one.weight > options.weightAtMost) break;
      weight += one.weight;
      count += 1;
    }
    const group = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return group;
  }

  async function runGroup(group: Waiting<Op, Value>[]): Promise<void> {
    try {
      const values = await options.run(group.map(({ op }) => op));
      group.forEach((one, index) => one.resolve(values[index]!));
    } catch (error) {
      // One op that fails must not take the others of its group with it.
      if (group.length > 1 && !(error instanceof QueueUnavailable)) for (const one of group) await runGroup([one]);
      else for (const one of group) one.reject(error);
    }
  }

  return {
    add(op, weight) {
      const { promise, resolve, reject } = Promise.withResolvers<Value>();
      const timer = setTimeout(() => {
        one.isOver = true;
        reject(new QueueUnavailable('cannot_store', 'the database answers too slowly'));
      }, options.limitMs);
      const one: Waiting<Op, Value> = {
        op,
        weight,
        isOver: false,
        resolve(value) {
          clearTimeout(timer);
          resolve(value);
        },
        reject(error) {
          clearTimeout(timer);
          reject(error);
        },
      };
      waiting.push(one);
      last = promise;
      if (!running) void work();
      return promise;
    },
    async flushed() {
      await last.catch(() => {});
    },
  };
}
