import { once } from 'node:events';
import { connect } from 'node:net';

/**
 * One keep-alive connection, one request at a time, at the least cost that Node allows: a request is a text that goes
 * to the socket as it is, an answer is its status and the end of its body. What the generator burns of two shared
 * cores is missing in the measured process.
 */
export type Connection = {
  isFree(): boolean;
  send(request: string, onAnswer: (status: number) => void): void;
  close(): void;
};

export async function openConnection(port: number, onLost: (error: Error) => void): Promise<Connection> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  let head = '';
  let bodyLeft = -1; // -1: the head is still to come
  let status = 0;
  let answer: ((status: number) => void) | undefined;

  socket.on('data', (chunk: Buffer) => {
    if (bodyLeft < 0) {
      head += chunk.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      status = Number(head.slice(9, 12));
      bodyLeft = contentLength(head.slice(0, end)) - (head.length - end - 4);
      head = '';
    } else {
      bodyLeft -= chunk.length;
    }
    if (bodyLeft > 0) return;
    bodyLeft = -1;
    const told = answer;
    answer = undefined;
    told?.(status);
  });
  socket.on('error', onLost);
  socket.on('close', () => {
    if (answer) onLost(new Error('the connection ended before its answer'));
  });

  return {
    isFree: () => answer === undefined,
    send(request, onAnswer) {
      answer = onAnswer;
      socket.write(request, 'latin1');
    },
    close: () => socket.destroy(),
  };
}

function contentLength(head: string): number {
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without content-length:\n${head}`);
  return Number(length);
}
