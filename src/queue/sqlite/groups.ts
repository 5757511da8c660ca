import { QueueUnavailable } from '../queue.ts';
import type { Op, Result, Results } from './protocol.ts';

/** Gathers what the writer thread is asked for into groups, each of which shares one synced transaction. */
export type Groups = {
  /**
   * Resolves with the thread's answer; throws QueueUnavailable where it has none.
   * @param bytes what its events weigh.
   */
  ask<O extends Op>(op: O, bytes?: number): Promise<Results[O['kind']]>;
  /** Whether so many more events may wait in memory. */
  hasRoom(events: number, bytes: number): boolean;
  /** The answers to the group that went out first; `notice` is told of each before whoever asked. */
  finish(results: Result[], notice: (op: Op, result: Result) => void): void;
  /** Nothing that was asked so far will be answered. */
  fail(reason: string): void;
  /** Resolves when nothing is asked any more. */
  idle(): Promise<void>;
};

type Asked = { op: Op; events: number; bytes: number; resolve(value: never): void; reject(error: Error): void };

const groupEvents = 1024;
const groupBytes = 2_000_000;
/** The thread finds the next group when it has done one, while the event loop is still busy with other requests. */
const groupsUnderWay = 2;
/** So much is worth a group before the event loop has read all that has arrived: the thread then works meanwhile. */
const worthEvents = 16;
/** Beyond this the sender is told to come back: what waits in memory is bounded. */
const maxBytes = 32_000_000;
const maxEvents = 10_000;

/** No timer and no delay: a slow disk makes the groups larger. */
export function createGroups(handOver: (ops: Op[]) => void): Groups {
  let waiting: Asked[] = [];
  let underWay: Asked[][] = [];
  /** Events and bytes that nobody has been answered for. */
  let events = 0;
  let bytes = 0;
  /** Of `waiting`, where what has no events counts as one. */
  let waitingEvents = 0;
  let isScheduled = false;
  let onIdle: (() => void) | undefined;

  function schedule(): void {
    if (waitingEvents >= worthEvents) return flush();
    if (isScheduled || underWay.length > 0) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (underWay.length === 0) flush();
    });
  }

  function flush(): void {
    if (waiting.length === 0 || underWay.length >= groupsUnderWay) return;
    const group = nextGroup(waiting);
    waiting = waiting.slice(group.length);
    for (const asked of group) waitingEvents -= sizeOf(asked);
    underWay.push(group);
    handOver(group.map(({ op }) => op));
  }

  return {
    ask: (op, weight = 0) =>
      new Promise((resolve, reject) => {
        const asked = { op, events: op.kind === 'enqueue' ? op.events.length : 0, bytes: weight, resolve, reject };
        events += asked.events;
        bytes += weight;
        waitingEvents += sizeOf(asked);
        waiting.push(asked);
        schedule();
      }),
    hasRoom: (moreEvents, moreBytes) => events + moreEvents <= maxEvents && bytes + moreBytes <= maxBytes,
    finish(results, notice) {
      const group = underWay.shift() ?? [];
      flush();
      group.forEach((asked, index) => {
        events -= asked.events;
        bytes -= asked.bytes;
        const result = results[index]!;
        notice(asked.op, result);
        if (result.ok) asked.resolve(result.value as never);
        else asked.reject(new QueueUnavailable('cannot_store', result.message));
      });
      if (underWay.length === 0) onIdle?.();
    },
    fail(reason) {
      const lost = [...underWay.flat(), ...waiting];
      underWay = [];
      waiting = [];
      events = 0;
      bytes = 0;
      waitingEvents = 0;
      for (const { reject } of lost) reject(new QueueUnavailable('cannot_store', reason));
      onIdle?.();
    },
    async idle() {
      if (underWay.length === 0 && waiting.length === 0) return;
      await new Promise<void>((resolve) => {
        onIdle = resolve;
      });
    },
  };
}

/** As many as share a transaction, from the front; an erasure has one of its own. */
function nextGroup(waiting: Asked[]): Asked[] {
  let count = 0;
  let events = 0;
  let bytes = 0;
  for (const asked of waiting) {
    const isAlone = asked.op.kind === 'erase';
    const isFull = isAlone || events + sizeOf(asked) > groupEvents || bytes + asked.bytes > groupBytes;
    if (count > 0 && isFull) break;
    count += 1;
    if (isAlone) break;
    events += sizeOf(asked);
    bytes += asked.bytes;
  }
  return waiting.slice(0, count);
}

const sizeOf = ({ events }: Asked): number => Math.max(1, events);
