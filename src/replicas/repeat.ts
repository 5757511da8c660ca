import { QueueUnavailable } from '../queue/queue.ts';

/** Work that is done again and again, one run at a time. */
export type Repeated = {
  /** Does not wait for its time; once more, where it is at it. */
  now(): void;
  /** Lets the running one end. */
  stop(): Promise<void>;
};

/** A database that is away is told by the queue's health, and asked again at the next turn. */
export function repeat(everyMs: number, work: () => Promise<void>, onError: (error: unknown) => void): Repeated {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let isAskedAgain = false;
  let isStopped = false;

  async function run(): Promise<void> {
    isAskedAgain = false;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) onError(error);
    }
    running = undefined;
    if (!isStopped) schedule(isAskedAgain ? 0 : everyMs);
  }

  function schedule(afterMs: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => (running = run()), afterMs);
  }

  schedule(everyMs);
  return {
    now() {
      if (running) isAskedAgain = true;
      else if (!isStopped) schedule(0);
    },
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
