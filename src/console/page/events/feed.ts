import type { KeptEvent } from '../service/event.ts';

/**
 * The rows of the live list, newest first. Events arrive in any order and again and again, by thousands a second;
 * what is newer than the rows waits until it is let in, so that nobody's line moves away under their eyes.
 */
export type Feed = {
  rows(): readonly KeptEvent[];
  /** How many wait to be let in. */
  waiting(): number;
  /** Whether the service has older ones than the last row. */
  hasOlder(): boolean;
  /** A list as the service has it. */
  replace(list: readonly KeptEvent[], hasOlder: boolean): void;
  /** Further rows below the last. */
  append(older: readonly KeptEvent[], hasOlder: boolean): void;
  /** New events, and new states of known ones. */
  take(news: readonly KeptEvent[]): void;
  /** Lets in what waits, and drops the rows beyond the limit. */
  admit(): void;
};

export function createFeed({ limit, fits }: { limit: number; fits(event: KeptEvent): boolean }): Feed {
  let rows: readonly KeptEvent[] = [];
  let known = new Set<string>();
  let older = false;
  let waiting = new Map<string, KeptEvent>();
  /** Those that were pushed out of `waiting` are counted on. */
  let lost = 0;

  function show(list: readonly KeptEvent[]): void {
    rows = list;
    known = new Set(list.map(({ id }) => id));
  }

  function newest(): KeptEvent[] {
    return [...waiting.values()].sort(newestFirst).slice(0, limit);
  }

  return {
    rows: () => rows,
    waiting: () => waiting.size + lost,
    hasOlder: () => older,
    replace(list, hasOlder) {
      show(list);
      older = hasOlder;
      waiting = new Map();
      lost = 0;
    },
    append(list, hasOlder) {
      show([...rows, ...list.filter(({ id }) => !known.has(id))]);
      older = hasOlder;
    },
    take(news) {
      const changed = new Map<string, KeptEvent>();
      const oldest = rows.at(-1);
      for (const event of news) {
        if (known.has(event.id)) changed.set(event.id, event);
        // What is older than the rows comes with its own page.
        else if (oldest && older && newestFirst(event, oldest) > 0) continue;
        else if (fits(event)) waiting.set(event.id, event);
        else waiting.delete(event.id);
      }
      if (changed.size > 0) rows = rows.map((row) => changed.get(row.id) ?? row);
      if (waiting.size > 2 * limit) {
        lost += waiting.size - limit;
        waiting = new Map(newest().map((event) => [event.id, event]));
      }
    },
    admit() {
      const list = [...newest(), ...rows].filter(fits).sort(newestFirst);
      if (list.length > limit) older = true;
      show(list.slice(0, limit));
      waiting = new Map();
      lost = 0;
    },
  };
}

/** By time of receipt; ids grow, so that they tell apart what came in one millisecond. */
function newestFirst(a: KeptEvent, b: KeptEvent): number {
  return b.receivedAtMs - a.receivedAtMs || b.id.length - a.id.length || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);
}
