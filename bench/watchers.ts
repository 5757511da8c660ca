import { once } from 'node:events';
import { connect } from 'node:net';
import { adminToken } from './service.ts';

/** Consoles that watch the live stream, at the least cost: what they are told is counted and not parsed. */
export type Watchers = {
  /** Ends them; how many events each was told. */
  close(): number[];
};

const told = Buffer.from('\nevent: event\n');

export async function openWatchers(url: string, count: number): Promise<Watchers> {
  const watchers = await Promise.all(Array.from({ length: count }, () => openWatcher(url)));
  return { close: () => watchers.map((close) => close()) };
}

async function openWatcher(url: string): Promise<() => number> {
  const { host, port } = new URL(url);
  const socket = connect({ host: '127.0.0.1', port: Number(port) });
  let events = 0;
  const opened = once(socket, 'data');
  socket.on('data', (chunk: Buffer) => {
    // One that is cut in two by a chunk's end is not counted.
    for (let at = chunk.indexOf(told); at >= 0; at = chunk.indexOf(told, at + told.length)) events += 1;
  });
  socket.write(`GET /events/stream HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${adminToken}\r\n\r\n`);
  const [head] = await opened;
  if (!String(head).startsWith('HTTP/1.1 200')) throw new Error(`the stream was refused: ${String(head)}`);
  return () => {
    socket.destroy();
    return events;
  };
}
