import { type Signal, signal } from '@preact/signals';
import { type KeptEvent, readEvent } from '../service/event.ts';
import { fields } from '../service/fields.ts';
import { takeLedger } from '../service/overview.ts';
import { ask, type Failure } from '../service/request.ts';
import type { Message } from '../service/sse.ts';
import { followStream, type StreamState } from '../service/stream.ts';
import { createFeed } from './feed.ts';
import { type Filters, fits, listQuery, streamQuery } from './filters.ts';

/** The list of events that fit a filter, kept up to date by the stream. */
export type LiveList = {
  view: Signal<View>;
  stream: Signal<StreamState>;
  failure: Signal<Failure | null>;
  /** While held still, new events wait; states of shown ones change all the same. */
  holdStill(isStill: boolean): void;
  loadOlder(): void;
  close(): void;
};

export type View = {
  rows: readonly KeptEvent[];
  waiting: number;
  hasOlder: boolean;
  isLoading: boolean;
};

const pageSize = '100';
const mostRows = 2000;
/** A tab in the background paints no frames; then what has come is taken over by its number. */
const mostUntaken = 5000;

export function openLiveList(filters: Filters): LiveList {
  const feed = createFeed({ limit: mostRows, fits: (event) => fits(filters, event) });
  const view = signal<View>({ rows: [], waiting: 0, hasOlder: false, isLoading: true });
  const stream = signal<StreamState>({ kind: 'connecting' });
  const failure = signal<Failure | null>(null);
  const ending = new AbortController();
  let isStill = false;
  let isLoading = false;
  let cursor: string | null = null;
  let untaken: KeptEvent[] = [];
  /** What the stream told while a list was on its way is newer than that list. */
  let sinceAsked: KeptEvent[] = [];
  let frame = 0;

  function show(): void {
    view.value = { rows: feed.rows(), waiting: feed.waiting(), hasOlder: feed.hasOlder(), isLoading };
  }

  function takeOver(): void {
    cancelAnimationFrame(frame);
    frame = 0;
    if (isLoading) sinceAsked.push(...untaken);
    feed.take(untaken);
    untaken = [];
    if (!isStill) admit();
    show();
  }

  function admit(): void {
    const last = feed.rows().at(-1);
    feed.admit();
    if (feed.rows().at(-1) !== last) cursor = null;
  }

  function hear(messages: Message[]): void {
    for (const { event, data } of messages) {
      if (event === 'event') untaken.push(readEvent(fields(JSON.parse(data))));
      else if (event === 'overview') takeLedger(JSON.parse(data));
      else if (event === 'reset') void load();
    }
    if (untaken.length > mostUntaken) takeOver();
    else if (untaken.length > 0 && frame === 0) frame = requestAnimationFrame(takeOver);
  }

  async function load(): Promise<void> {
    isLoading = true;
    sinceAsked = [];
    const page = await ask(`/events?${listQuery(filters, { limit: pageSize })}`, { signal: ending.signal });
    isLoading = false;
    if (ending.signal.aborted) return;
    failure.value = page.ok ? null : page.failure;
    if (page.ok) {
      const answer = fields(page.body);
      cursor = answer.textOrNull('nextCursor');
      feed.replace(answer.list('data', readEvent), cursor !== null);
      feed.take(sinceAsked);
      feed.admit();
    }
    show();
  }

  async function loadOlder(): Promise<void> {
    const last = feed.rows().at(-1);
    if (isLoading || !feed.hasOlder() || !last) return;
    isLoading = true;
    show();
    // Rows that were dropped from the end took the cursor's place with them: the time of the last one finds it again.
    const from: Record<string, string> =
      cursor === null ? { to: new Date(last.receivedAtMs + 1).toISOString() } : { cursor };
    const page = await ask(`/events?${listQuery(filters, { limit: pageSize, ...from })}`, { signal: ending.signal });
    isLoading = false;
    if (ending.signal.aborted) return;
    failure.value = page.ok ? null : page.failure;
    if (page.ok) {
      const answer = fields(page.body);
      cursor = answer.textOrNull('nextCursor');
      feed.append(answer.list('data', readEvent), cursor !== null);
    }
    show();
  }

  void load();
  const query = streamQuery(filters);
  let wasLive = false;
  const endStream = followStream(`/events/stream${query === '' ? '' : `?${query}`}`, {
    onMessages: hear,
    onState(state) {
      stream.value = state;
      // What happened between the first list and the stream's beginning is in a second one.
      if (state.kind === 'live' && !wasLive) void load();
      wasLive ||= state.kind === 'live';
    },
  });

  return {
    view,
    stream,
    failure,
    holdStill(still) {
      isStill = still;
      if (still) return;
      admit();
      show();
    },
    loadOlder: () => void loadOlder(),
    close() {
      ending.abort();
      endStream();
      cancelAnimationFrame(frame);
    },
  };
}
