import type { Test } from 'tap';
import { request } from 'undici';

/** A reader of `GET /events/stream`, as a console is one. */
export type Stream = {
  status: number;
  /** All that came so far, comments left out. */
  messages: Message[];
  /** The data of its messages of this kind. */
  data(event: string): Record<string, unknown>[];
  lastId(): string | undefined;
  hasEnded(): boolean;
  close(): void;
};

export type Message = { id: string | undefined; event: string; data: Record<string, unknown> };

export async function openStream(t: Test, url: string, headers: Record<string, string> = {}): Promise<Stream> {
  const abort = new AbortController();
  const response = await request(url, { headers, signal: abort.signal, bodyTimeout: 0 });
  const messages: Message[] = [];
  let ended = false;
  t.teardown(() => abort.abort());

  async function read(): Promise<void> {
    let rest = '';
    const decoder = new TextDecoder();
    try {
      for await (const chunk of response.body) {
        const blocks = (rest + decoder.decode(chunk, { stream: true })).split('\n\n');
        rest = blocks.pop() ?? '';
        messages.push(...blocks.flatMap(parse));
      }
    } catch {
      // It was closed, here or there.
    }
    ended = true;
  }
  void read();

  return {
    status: response.statusCode,
    messages,
    data: (event) => messages.filter((message) => message.event === event).map(({ data }) => data),
    lastId: () => messages.findLast(({ id }) => id !== undefined)?.id,
    hasEnded: () => ended,
    close: () => abort.abort(),
  };
}

function parse(block: string): Message[] {
  const field = (name: string): string | undefined =>
    block
      .split('\n')
      .find((line) => line.startsWith(`${name}: `))
      ?.slice(name.length + 2);
  const data = field('data');
  return data === undefined ? [] : [{ id: field('id'), event: field('event') ?? 'message', data: JSON.parse(data) }];
}
