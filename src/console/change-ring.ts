import type { EventFilter, EventState, EventSummary } from '../queue/queue.ts';
import { fits, matches } from './event-query.ts';

/**
 * The newest changes of events, numbered without a gap and bounded: what a reader missed is found by number, and a
 * reader that missed more than is remembered is told so.
 */
export type ChangeRing = {
  /** What another change has overtaken is left out: replicas tell of the same event one after the other. */
  add(state: ChangedState, summary: EventSummary | null): void;
  /** So many changes happened that are not known. */
  lose(count: number): void;
  /** The number of the newest change. */
  head(): number;
  /** Whether all that came after this number is remembered. */
  reaches(number: number): boolean;
  /** What a reader at `from` is to see next. */
  pick(from: number, filter: EventFilter): Picked;
  /** From now on nothing before is remembered. */
  clear(): void;
};

export type ChangedState = Pick<EventState, 'id' | 'status' | 'reason'>;
/** An acceptance comes with the whole summary; that of any other change is to be asked for by id. */
export type Change = { number: number; state: ChangedState; summary: EventSummary | null };

export type Picked = {
  /** The newest change of each event, in the order of the changes; some may turn out not to match. */
  changes: Change[];
  /** Where the reader stands after them. */
  next: number;
  /** Changes that it is not shown, since there are too many. */
  skipped: number;
};

/** More than two seconds of 1,000 events/s that are accepted and delivered; a few MB. */
const size = 8192;
/** As many a look, oldest first, so that a burst is shown whole; who is further behind sees the newest alone. */
const changesALook = 500;
const behindAtMost = 2000;
const newestAfterSkip = 100;

export function createChangeRing(): ChangeRing {
  const ring: Change[] = [];
  let head = 0;
  /** Everything after this number is remembered. */
  let floor = 0;
  /** The newest change of each event, acceptances left out. */
  const newest = new Map<string, Change>();

  function put(change: Change): void {
    const slot = change.number % size;
    const former = ring[slot];
    if (former && newest.get(former.state.id) === former) newest.delete(former.state.id);
    ring[slot] = change;
    if (!change.summary) newest.set(change.state.id, change);
  }

  function pick(from: number, filter: EventFilter): Picked {
    const lost = Math.max(0, floor - from);
    const seen = new Set<string>();
    const matching: Change[] = [];
    for (let number = head; number > Math.max(from, floor); number -= 1) {
      const one = ring[number % size]!;
      if (seen.size > 0 && seen.has(one.state.id)) continue;
      if (!one.summary) seen.add(one.state.id); // an acceptance is the first change of its event: it hides none
      if (mayMatch(filter, one)) matching.push(one);
    }
    matching.reverse();
    if (lost > 0 || matching.length > behindAtMost) {
      const changes = matching.slice(-newestAfterSkip);
      return { changes, next: head, skipped: lost + matching.length - changes.length };
    }
    const changes = matching.slice(0, changesALook);
    return { changes, next: matching.length > changesALook ? changes.at(-1)!.number : head, skipped: 0 };
  }

  return {
    add(state, summary) {
      const known = newest.get(state.id);
      if (known && (summary || isOvertaken(state, known.state))) return;
      head += 1;
      put({ number: head, state, summary });
      floor = Math.max(floor, head - size);
    },
    lose(count) {
      head += count;
      floor = head;
    },
    head: () => head,
    reaches: (number) => number >= floor && number <= head,
    pick,
    clear() {
      // A number of its own for the time that nobody looked at: who stands before it has missed something.
      head += 1;
      floor = head;
      ring.length = 0;
      newest.clear();
    },
  };
}

/** What is delivered or filtered stays so. */
function isOvertaken({ status }: ChangedState, known: ChangedState): boolean {
  return status === 'queued' && (known.status === 'delivered' || known.status === 'filtered');
}

function mayMatch(filter: EventFilter, { state, summary }: Change): boolean {
  if (summary) return matches(filter, summary);
  return fits(filter.status, state.status) && fits(filter.reason, state.reason);
}
