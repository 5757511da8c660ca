import { randomBytes } from 'node:crypto';
import {
  type EventFilter,
  type EventSummary,
  type NewEvent,
  type Queue,
  QueueUnavailable,
  type Receipt,
} from '../queue/queue.ts';
import { type ChangedState, createChangeRing, type Numbered, type Picked } from './change-ring.ts';
import { toSummary } from './event-answers.ts';
import { matches } from './event-query.ts';

/**
 * What happens to events, told to whoever watches, as server-sent events.
 *
 * Nothing is done while nobody watches. What is sent is written once for all who look for the same, and nothing is
 * kept per watcher but the number of the last change it was told: who reads slowly is told less, not later.
 */
export type Live = {
  /** Events that were kept, with what the queue answered for each. */
  accepted(events: NewEvent[], receipts: Receipt[]): void;
  /** Events that have come into another state. */
  changed(states: ChangedState[]): void;
  hasRoom(): boolean;
  /** From the change after `lastEventId` on, or from now; returns how to leave. */
  subscribe(watcher: Watcher, lastEventId: string | null): () => void;
  /** Ends every stream. */
  close(): void;
};

export type Watcher = {
  filter: EventFilter;
  /** Whether what was sent before has left this process. */
  isReady(): boolean;
  send(bytes: Buffer): void;
  /** The stream is over: the service ends, or the watcher does not read. */
  end(): void;
};

type Seat = { watcher: Watcher; filterKey: string; at: number; readyAtMs: number; ledger: string };
type Page = Picked & { seats: Seat[]; filter: EventFilter };

const usualTiming = {
  flushMs: 250,
  ledgerMs: 2000,
  heartbeatMs: 15_000,
  /** Who takes nothing for so long is cut off; it may come back and resume. */
  stallMs: 15_000,
  /** A page that is reloaded, or a connection that broke, comes back within this, and has missed nothing. */
  rememberMs: 60_000,
};
const seatsAtMost = 50;
const summariesAsked = 500;

export function createLive(options: {
  queue: Pick<Queue, 'summaries' | 'stats'>;
  timing?: Partial<typeof usualTiming>;
}): Live {
  const { queue } = options;
  const timing = { ...usualTiming, ...options.timing };
  const ring = createChangeRing();
  /** Numbers of another process mean nothing here. */
  const process = randomBytes(4).toString('hex');
  const seats = new Set<Seat>();
  let isRecording = false;
  let isClosed = false;
  let isFlushing = false;
  let flushTimer: NodeJS.Timeout | undefined;
  let forgetTimer: NodeJS.Timeout | undefined;
  let pulses: NodeJS.Timeout[] = [];

  const eventId = (number: number): string => `${process}.${number}`;

  function scheduleFlush(): void {
    if (flushTimer || isFlushing || seats.size === 0) return;
    flushTimer = setTimeout(() => void flush(), timing.flushMs);
  }

  async function flush(): Promise<void> {
    flushTimer = undefined;
    isFlushing = true;
    try {
      const behind = readySeats().filter(({ at }) => at < ring.head());
      const pages = [...Map.groupBy(behind, ({ at, filterKey }) => `${at} ${filterKey}`).values()].map(takePage);
      const fetched = await fetchSummaries(pages);
      const written = new Map<number, string>();
      pages.forEach((page, index) => tell(page, fetched[index]!, written));
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) throw error; // else the seats stay where they are, and are told later
    } finally {
      isFlushing = false;
      if ([...seats].some(({ at }) => at < ring.head())) scheduleFlush();
    }
  }

  function readySeats(): Seat[] {
    const nowMs = Date.now();
    return [...seats].filter((seat) => {
      const isReady = seat.watcher.isReady();
      if (isReady) seat.readyAtMs = nowMs;
      return isReady;
    });
  }

  function takePage(group: Seat[]): Page {
    const { at, watcher } = group[0]!;
    return { seats: group, filter: watcher.filter, ...ring.pick(at, watcher.filter) };
  }

  /** By page, what the ring does not hold itself; asked for once, whoever wants it. */
  async function fetchSummaries(pages: Page[]): Promise<Map<string, EventSummary>[]> {
    const wanted = (page: Page): string[] =>
      page.changes.flatMap(({ state, summary }) => (summary && page.filter.text === undefined ? [] : [state.id]));
    const common = pages.filter(({ filter }) => filter.text === undefined);
    const shared = await ask([...new Set(common.flatMap(wanted))]);
    const fetched: Map<string, EventSummary>[] = [];
    for (const page of pages) {
      const { text } = page.filter;
      fetched.push(text === undefined ? shared : await ask(wanted(page), text));
    }
    return fetched;
  }

  async function ask(ids: string[], text?: string): Promise<Map<string, EventSummary>> {
    const found = new Map<string, EventSummary>();
    for (let start = 0; start < ids.length; start += summariesAsked) {
      const some = await queue.summaries(ids.slice(start, start + summariesAsked), text);
      for (const summary of some) found.set(summary.id, summary);
    }
    return found;
  }

  function tell(page: Page, fetched: Map<string, EventSummary>, written: Map<number, string>): void {
    let text = page.skipped > 0 ? `event: skipped\ndata: {"count":${page.skipped}}\n\n` : '';
    for (const one of page.changes) {
      const summary = (page.filter.text === undefined && one.summary) || fetched.get(one.state.id);
      if (!summary || !matches(page.filter, summary)) continue;
      const lines = written.get(one.number) ?? write(one, summary);
      written.set(one.number, lines);
      text += lines;
    }
    const bytes = Buffer.from(text);
    for (const seat of page.seats) {
      seat.at = page.next;
      if (bytes.length > 0 && seats.has(seat)) seat.watcher.send(bytes);
    }
  }

  function write({ number }: Numbered, summary: EventSummary): string {
    return `id: ${eventId(number)}\nevent: event\ndata: ${JSON.stringify(toSummary(summary))}\n\n`;
  }

  /** Carries the number, too, so that who is shown few of many events resumes from where it stands. */
  async function tellLedger(): Promise<void> {
    cutOffStalled();
    if (seats.size === 0) return;
    let ledger: string;
    try {
      const { accepted, delivered, filtered, dead, queued } = await queue.stats();
      ledger = JSON.stringify({ accepted, delivered, filtered, dead, queued });
    } catch (error) {
      if (error instanceof QueueUnavailable) return;
      throw error;
    }
    for (const seat of readySeats()) {
      if (seat.ledger === ledger) continue;
      seat.ledger = ledger;
      seat.watcher.send(Buffer.from(`id: ${eventId(seat.at)}\nevent: overview\ndata: ${ledger}\n\n`));
    }
  }

  function cutOffStalled(): void {
    readySeats();
    for (const seat of seats) {
      if (Date.now() - seat.readyAtMs < timing.stallMs) continue;
      leave(seat);
      seat.watcher.end();
    }
  }

  function beat(): void {
    for (const { watcher } of readySeats()) watcher.send(Buffer.from(': alive\n\n'));
  }

  function startRecording(): void {
    clearTimeout(forgetTimer);
    isRecording = true;
    if (pulses.length > 0) return;
    pulses = [setInterval(() => void tellLedger(), timing.ledgerMs), setInterval(beat, timing.heartbeatMs)];
  }

  function leave(seat: Seat): void {
    if (!seats.delete(seat) || seats.size > 0) return;
    stopTimers();
    if (!isClosed) forgetTimer = setTimeout(forget, timing.rememberMs);
  }

  function forget(): void {
    isRecording = false;
    ring.clear();
  }

  function stopTimers(): void {
    clearTimeout(flushTimer);
    clearTimeout(forgetTimer);
    flushTimer = undefined;
    for (const timer of pulses) clearInterval(timer);
    pulses = [];
  }

  function subscribe(watcher: Watcher, lastEventId: string | null): () => void {
    const resumeAt = lastEventId === null ? undefined : readEventId(lastEventId, process);
    const isKnown = isRecording && resumeAt !== undefined && ring.reaches(resumeAt);
    startRecording();
    const at = isKnown ? resumeAt : ring.head();
    const filterKey = JSON.stringify(Object.entries(watcher.filter).sort());
    const seat: Seat = { watcher, filterKey, at, readyAtMs: Date.now(), ledger: '' };
    seats.add(seat);
    const isOver = lastEventId !== null && !isKnown;
    watcher.send(Buffer.from(isOver ? `id: ${eventId(at)}\nevent: reset\ndata: {}\n\n` : ': open\n\n'));
    void tellLedger();
    if (at < ring.head()) scheduleFlush();
    return () => leave(seat);
  }

  return {
    accepted(events, receipts) {
      if (!isRecording) return;
      receipts.forEach((receipt, index) => {
        if (receipt.duplicate) return;
        const summary = summaryOf(events[index]!, receipt);
        ring.add({ state: summary, summary });
      });
      scheduleFlush();
    },
    changed(states) {
      if (!isRecording) return;
      for (const { id, status, reason } of states) ring.add({ state: { id, status, reason }, summary: null });
      scheduleFlush();
    },
    hasRoom: () => !isClosed && seats.size < seatsAtMost,
    subscribe,
    close() {
      isClosed = true;
      isRecording = false;
      stopTimers();
      for (const { watcher } of seats) watcher.end();
      seats.clear();
    },
  };
}

/** What the queue would answer of an event that it has just kept. */
function summaryOf(event: NewEvent, { id, status, reason }: Receipt & { duplicate: false }): EventSummary {
  const { installation, messageId, type, name, userId, email, anonymousId, receivedAtMs, atMs } = event;
  const settledAtMs = status === 'filtered' ? receivedAtMs : null;
  const known = { installation, messageId, type, name, userId, email, anonymousId, receivedAtMs, atMs, settledAtMs };
  return { id, status, reason, intercomStatus: null, calls: 0, ...known, attempts: 0, dueAtMs: null };
}

/** The number of an event id that this process gave. */
function readEventId(text: string, process: string): number | undefined {
  const match = /^([0-9a-f]{8})\.(\d{1,15})$/.exec(text);
  return match?.[1] === process ? Number(match[2]) : undefined;
}
