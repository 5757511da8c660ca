import { adminToken, signOut } from './session.ts';
import { createSseParser, type Message } from './sse.ts';

/** How the stream is: `live`, on its way (`connecting`), or waiting to try again. */
export type StreamState = { kind: 'connecting' } | { kind: 'live' } | { kind: 'waiting'; untilMs: number };

/**
 * The service comments every 15 seconds; a connection that is silent for longer than two of them is dead, though
 * the network has not noticed.
 */
const silenceMs = 35_000;
const firstWaitMs = 500;
const longestWaitMs = 15_000;

/**
 * Follows a stream with `fetch`, since EventSource can't send the admin token. Where the connection ends, it goes on
 * after the last message that was heard. Returns what ends it.
 */
export function followStream(
  path: string,
  { onMessages, onState }: { onMessages(messages: Message[]): void; onState(state: StreamState): void },
): () => void {
  const ending = new AbortController();
  let lastId = '';
  let waitMs = firstWaitMs;
  let timer: ReturnType<typeof setTimeout> | undefined;

  async function connect(): Promise<void> {
    onState({ kind: 'connecting' });
    await read().catch(() => undefined);
    if (ending.signal.aborted) return;
    const untilMs = Date.now() + waitMs * (0.5 + Math.random() / 2);
    onState({ kind: 'waiting', untilMs });
    timer = setTimeout(() => void connect(), untilMs - Date.now());
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }

  async function read(): Promise<void> {
    const broken = new AbortController();
    const headers = {
      accept: 'text/event-stream',
      authorization: `Bearer ${adminToken.value ?? ''}`,
      ...(lastId !== '' && { 'last-event-id': lastId }),
    };
    const signal = AbortSignal.any([ending.signal, broken.signal]);
    const response = await fetch(path, { headers, signal, cache: 'no-store', credentials: 'omit' });
    if (response.status === 401) signOut('The service no longer accepts this token. Enter the new one.');
    if (!response.ok || !response.body) return;
    onState({ kind: 'live' });
    waitMs = firstWaitMs;
    const parse = createSseParser();
    let watchdog = setTimeout(() => broken.abort(), silenceMs);
    try {
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
        clearTimeout(watchdog);
        watchdog = setTimeout(() => broken.abort(), silenceMs);
        const messages = parse(piece);
        const last = messages.at(-1);
        if (!last) continue;
        if (last.id !== '') lastId = last.id;
        onMessages(messages);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  void connect();
  return () => {
    ending.abort();
    clearTimeout(timer);
  };
}
