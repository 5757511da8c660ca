import type { Receipt } from '../queue/queue.ts';

/** What was done lately, counted in memory: it begins anew with the process. */
export type Activity = Counted & {
  kept(receipts: Receipt[]): void;
  attempted(attempt: AttemptCount): void;
};

/** What replicas have done together, since the database was made. */
export type ActivityOfAll = {
  read(): Promise<{ minutes: MinuteCount[]; rates: Rates; saved: Saved }>;
};

export type Counted = {
  /** The last 60, oldest first, the running one last. */
  minutes(): MinuteCount[];
  /** Per second, over the last half minute: three of Intercom's windows. */
  rates(): Rates;
  saved(): Saved;
};

export type Rates = { calls: number; drained: number };

export type AttemptCount = {
  outcome: string;
  /** How many events share the attempt. */
  events: number;
  calls: number;
  saved: Saved;
};

/** Events that took no call of their own, and writes that went to a known id instead of searching for it first. */
export type Saved = { merged: number; unchanged: number; knownIds: number };

export type MinuteCount = { atMs: number } & Counts;
type Counts = {
  accepted: number;
  delivered: number;
  filtered: number;
  dead: number;
  retried: number;
  calls: number;
};
/** `drained`: how many fewer events are queued. */
type Second = { calls: number; drained: number };

const minuteMs = 60_000;
const minutesKept = 60;
const ratedSeconds = 30;

export function createActivity(now: () => number = Date.now): Activity {
  const minutes = new Map<number, Counts>();
  const seconds = new Map<number, Second>();
  const saved: Saved = { merged: 0, unchanged: 0, knownIds: 0 };
  const startedAtMs = now();

  const minute = (): Counts => slot(minutes, Math.floor(now() / minuteMs), minutesKept, noCounts);
  const second = (): Second =>
    slot(seconds, Math.floor(now() / 1000), ratedSeconds + 1, () => ({ calls: 0, drained: 0 }));

  return {
    kept(receipts) {
      let accepted = 0;
      let filtered = 0;
      for (const receipt of receipts) {
        if (receipt.duplicate) continue;
        accepted += 1;
        if (receipt.status === 'filtered') filtered += 1;
      }
      const counts = minute();
      counts.accepted += accepted;
      counts.filtered += filtered;
      second().drained -= accepted - filtered;
    },
    attempted({ outcome, events, calls, saved: more }) {
      const counts = minute();
      counts.calls += calls;
      second().calls += calls;
      if (outcome === 'retry') counts.retried += 1;
      if (outcome === 'delivered' || outcome === 'filtered' || outcome === 'dead') {
        counts[outcome] += events;
        second().drained += events;
      }
      saved.merged += more.merged;
      saved.unchanged += more.unchanged;
      saved.knownIds += more.knownIds;
    },
    minutes() {
      const current = Math.floor(now() / minuteMs);
      return Array.from({ length: minutesKept }, (_, index) => {
        const number = current - minutesKept + 1 + index;
        return { atMs: number * minuteMs, ...(minutes.get(number) ?? noCounts()) };
      });
    },
    rates() {
      const current = Math.floor(now() / 1000);
      const over = Math.min(ratedSeconds, Math.max(1, current - Math.floor(startedAtMs / 1000)));
      let calls = 0;
      let drained = 0;
      for (const [number, one] of seconds) {
        if (number >= current || number < current - over) continue; // the running second is not over
        calls += one.calls;
        drained += one.drained;
      }
      return { calls: calls / over, drained: drained / over };
    },
    saved: () => ({ ...saved }),
  };
}

function noCounts(): Counts {
  return { accepted: 0, delivered: 0, filtered: 0, dead: 0, retried: 0, calls: 0 };
}

/** The counters of a time; those of times that are over are forgotten. */
function slot<T>(slots: Map<number, T>, number: number, kept: number, make: () => T): T {
  const known = slots.get(number);
  if (known) return known;
  for (const other of slots.keys()) if (other <= number - kept) slots.delete(other);
  const made = make();
  slots.set(number, made);
  return made;
}
