import type { EventState } from '../queue/queue.ts';

/** Lets a request wait for the end of the events that it brought. */
export type Settlements = {
  announce(states: EventState[]): void;
  /** These will take a while: who waits for them need not. */
  postpone(ids: string[]): void;
  /** The states of those that were settled within the time; resolves as soon as nothing is left to wait for. */
  wait(ids: string[], ms: number): Promise<Map<string, EventState>>;
  /** Lets nobody wait any longer. */
  close(): void;
};

type Listener = (id: string, state: EventState | undefined) => void;

export function createSettlements(): Settlements {
  /** Several requests may wait for one event: the sender repeats what it thinks is lost. */
  const listeners = new Map<string, Set<Listener>>();
  const waits = new Set<() => void>();
  let isClosed = false;

  function wait(ids: string[], ms: number): Promise<Map<string, EventState>> {
    const settled = new Map<string, EventState>();
    const { promise, resolve } = Promise.withResolvers<Map<string, EventState>>();
    const awaited = new Set(ids);
    const hear: Listener = (id, state) => {
      if (state) settled.set(id, state);
      awaited.delete(id);
      if (awaited.size === 0) end();
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
    if (isClosed || ids.length === 0) end();
    return promise;
  }

  return {
    announce(states) {
      for (const state of states) for (const hear of listeners.get(state.id) ?? []) hear(state.id, state);
    },
    postpone(ids) {
      for (const id of ids) for (const hear of listeners.get(id) ?? []) hear(id, undefined);
    },
    wait,
    close() {
      isClosed = true;
      for (const end of waits) end();
    },
  };
}
