import { type EventState, QueueUnavailable } from '../queue/queue.ts';

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

export type SettlementsOptions = {
  /** Asked again and again for what is waited for, since another replica may deliver it; what is unknown is left out. */
  look?: ((ids: string[]) => Promise<Map<string, EventState>>) | undefined;
  everyMs?: number;
};

type Look = NonNullable<SettlementsOptions['look']>;
type Listener = (id: string, state: EventState | undefined) => void;

const defaultEveryMs = 100;

export function createSettlements({ look, everyMs = defaultEveryMs }: SettlementsOptions = {}): Settlements {
  /** Several requests may wait for one event: the sender repeats what it thinks is lost. */
  const listeners = new Map<string, Set<Listener>>();
  const waits = new Set<() => void>();
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;

  function wait(ids: string[], ms: number): Promise<Map<string, EventState>> {
    const settled = new Map<string, EventState>();
    const { promise, resolve } = Promise.withResolvers<Map<string, EventState>>();
    const awaited = new Set(ids);
    const hear: Listener = (id, state) => {
      if (state) settled.set(id, state);
      awaited.delete(id);
      leave(id);
      if (awaited.size === 0) end();
    };
    const leave = (id: string): void => {
      const others = listeners.get(id);
      others?.delete(hear);
      if (others?.size === 0) listeners.delete(id);
    };
    const end = (): void => {
      clearTimeout(giveUp);
      waits.delete(end);
      for (const id of awaited) leave(id);
      resolve(settled);
    };
    const giveUp = setTimeout(end, ms);
    waits.add(end);
    for (const id of ids) listeners.set(id, (listeners.get(id) ?? new Set()).add(hear));
    if (isClosed || ids.length === 0) end();
    if (look && waits.size > 0) timer ??= setTimeout(() => void askOthers(look), everyMs);
    return promise;
  }

  function announce(states: Iterable<EventState>): void {
    for (const state of states) for (const hear of listeners.get(state.id) ?? []) hear(state.id, state);
  }

  async function askOthers(read: Look): Promise<void> {
    try {
      const states = listeners.size === 0 ? new Map<string, EventState>() : await read([...listeners.keys()]);
      announce([...states.values()].filter(({ status }) => status !== 'queued'));
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) throw error; // else it is answered 202, as a slow delivery is
    } finally {
      timer = waits.size === 0 ? undefined : setTimeout(() => void askOthers(read), everyMs);
    }
  }

  return {
    announce,
    postpone(ids) {
      for (const id of ids) for (const hear of listeners.get(id) ?? []) hear(id, undefined);
    },
    wait,
    close() {
      isClosed = true;
      clearTimeout(timer);
      for (const end of waits) end();
    },
  };
}
