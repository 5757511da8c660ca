import type { EventState } from '../queue/queue.ts';

/** Lets a request wait for the end of the events that it brought. */
export type Settlements = {
  announce(states: EventState[]): void;
  /** The states of those that were settled within the time; resolves as soon as all are. */
  wait(ids: string[], ms: number): Promise<Map<string, EventState>>;
  /** Lets nobody wait any longer. */
  close(): void;
};

export function createSettlements(): Settlements {
  /** Several requests may wait for one event: the sender repeats what it thinks is lost. */
  const listeners = new Map<string, Set<(state: EventState) => void>>();
  const waits = new Set<() => void>();

  function wait(ids: string[], ms: number): Promise<Map<string, EventState>> {
    const settled = new Map<string, EventState>();
    const { promise, resolve } = Promise.withResolvers<Map<string, EventState>>();
    const hear = (state: EventState): void => {
      settled.set(state.id, state);
      if (settled.size === ids.length) end();
    };
    const end = (): void => {
      clearTimeout(timer);
      waits.delete(end);
      for (const id of ids) {
        const others = listeners.get(id);
        others?.delete(hear);
        if (others?.size === 0) listeners.delete(id);
      }
      resolve(settled);
    };
    const timer = setTimeout(end, ms);
    waits.add(end);
    for (const id of ids) listeners.set(id, (listeners.get(id) ?? new Set()).add(hear));
    return promise;
  }

  return {
    announce(states) {
      for (const state of states) for (const hear of listeners.get(state.id) ?? []) hear(state);
    },
    wait,
    close() {
      for (const end of waits) end();
    },
  };
}
