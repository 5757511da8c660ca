import { randomBytes } from 'node:crypto';
import {
  type EventFilter,
  type EventSummary,
  type NewEvent,
  type Queue,
  QueueUnavailable,
  type Receipt,
} from '../queue/queue.ts';
import { type ChangedState, createChangeRing } from './change-ring.ts';
import { createPageWriter, type Page } from './stream-pages.ts';

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

/** What happens on other replicas, and where to tell them what happens here. */
export type SharedChanges = {
  /** Whether somebody watches one of them. */
  isWanted(): boolean;
  publish(change: SharedChange): void;
  /** Calls `hear` with what they tell, and of how many more they do not; returns what ends it. */
  follow(hear: (changes: SharedChange[], lost: number) => void): () => void;
};

/** An acceptance comes with its summary, as in the ring. */
export type SharedChange = { state: ChangedState; summary: EventSummary | null };

export type Watcher = {
  filter: EventFilter;
  /** Whether what was sent before has left this process. */
  isReady(): boolean;
  send(bytes: Buffer): void;
  /** The stream is over: the service ends, or the watcher does not read. */
  end(): void;
};

type Seat = { watcher: Watcher; filterKey: string; at: number; readyAtMs: number; ledger: string };

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

export function createLive(options: {
  queue: Pick<Queue, 'summaries' | 'stats'>;
  shared?: SharedChanges | undefined;
  timing?: Partial<typeof usualTiming>;
}): Live {
  const { queue, shared } = options;
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
  let leaveOthers: (() => void) | undefined;

  const eventId = (number: number): string => `${process}.${number}`;
  const writePages = createPageWriter(queue, eventId);

  function scheduleFlush(): void {
    if (flushTimer || isFlushing || seats.size === 0) return;
    flushTimer = setTimeout(() => void flush(), timing.flushMs);
  }

  async function flush(): Promise<void> {
    flushTimer = undefined;
    isFlushing = true;
    try {
      const behind = readySeats().filter(({ at }) => at < ring.head());
      const groups = [...Map.groupBy(behind, ({ at, filterKey }) => `${at} ${filterKey}`).values()];
      const pages = groups.map(([seat]) => takePage(seat!));
      const written = await writePages(pages);
      groups.forEach((group, index) => tell(group, pages[index]!.next, written[index]!));
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

  function takePage({ at, watcher }: Seat): Page {
    return { from: at, filter: watcher.filter, ...ring.pick(at, watcher.filter) };
  }

  function tell(group: Seat[], next: number, bytes: Buffer): void {
    for (const seat of group) {
      seat.at = next;
      if (bytes.length > 0 && seats.has(seat)) seat.watcher.send(bytes);
    }
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

  function add({ state, summary }: SharedChange): void {
    if (isRecording) ring.add(state, summary);
    shared?.publish({ state, summary });
  }

  function hear(changes: SharedChange[], lost: number): void {
    if (!isRecording) return;
    if (lost > 0) ring.lose(lost);
    for (const { state, summary } of changes) ring.add(state, summary);
    scheduleFlush();
  }

  function startRecording(): void {
    clearTimeout(forgetTimer);
    isRecording = true;
    leaveOthers ??= shared?.follow(hear);
    if (pulses.length > 0) return;
    pulses = [setInterval(() => void tellLedger(), timing.ledgerMs), setInterval(beat, timing.heartbeatMs)];
  }

  function leave(seat: Seat): void {
    if (!seats.delete(seat) || seats.size > 0) return;
    stopTimers();
    if (!isClosed) forgetTimer = setTimeout(forget, timing.rememberMs);
  }

  function forget(): void {
    stopRecording();
    ring.clear();
  }

  function stopRecording(): void {
    isRecording = false;
    leaveOthers?.();
    leaveOthers = undefined;
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
      if (!isRecording && !shared) return;
      const isShown = isRecording || shared?.isWanted() === true;
      receipts.forEach((receipt, index) => {
        if (receipt.duplicate) return;
        const { id, status, reason } = receipt;
        add({ state: { id, status, reason }, summary: isShown ? summaryOf(events[index]!, receipt) : null });
      });
      scheduleFlush();
    },
    changed(states) {
      if (!isRecording && !shared) return;
      for (const { id, status, reason } of states) add({ state: { id, status, reason }, summary: null });
      scheduleFlush();
    },
    hasRoom: () => !isClosed && seats.size < seatsAtMost,
    subscribe,
    close() {
      isClosed = true;
      stopRecording();
      stopTimers();
      for (const { watcher } of seats) watcher.end();
      seats.clear();
    },
  };
}

/** What the queue would answer of an event that it has just kept. */
function summaryOf(event: NewEvent, { id, status, reason }: Receipt & { duplicate: false }): EventSummary {
  return {
    id,
    status,
    reason,
    intercomStatus: null,
    calls: 0,
    installation: event.installation,
    messageId: event.messageId,
    type: event.type,
    name: event.name,
    userId: event.userId,
    email: event.email,
    anonymousId: event.anonymousId,
    receivedAtMs: event.receivedAtMs,
    atMs: event.atMs,
    settledAtMs: status === 'filtered' ? event.receivedAtMs : null,
    attempts: 0,
    dueAtMs: null,
  };
}

/** The number of an event id that this process gave. */
function readEventId(text: string, process: string): number | undefined {
  const match = /^([0-9a-f]{8})\.(\d{1,15})$/.exec(text);
  return match?.[1] === process ? Number(match[2]) : undefined;
}
