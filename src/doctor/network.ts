import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { remedyFor } from '../intercom/reach.ts';
import { type Check, fail, ok } from './check.ts';

const timeoutMs = 10_000;

/** The way to Intercom's host: its name, a connection, its certificate. */
export async function checkNetwork(apiUrl: string): Promise<Check> {
  const { hostname, port, protocol } = new URL(apiUrl);
  const host = hostname.replace(/^\[|\]$/g, '');
  const isTls = protocol === 'https:';
  const target = { host, port: Number(port) || (isTls ? 443 : 80) };
  const startedAt = performance.now();
  const socket = isTls ? connectTls({ ...target, ...(isIP(host) === 0 && { servername: host }) }) : connectTcp(target);
  const failure = await settled(socket, isTls ? 'secureConnect' : 'connect');
  const ms = Math.round(performance.now() - startedAt);
  socket.destroy();
  if (failure === null)
    return ok('network', `${apiUrl} is reached in ${ms} ms${isTls ? ', its certificate is good' : ''}`);
  return fail('network', `${apiUrl} can't be reached (${failure})`, remedyFor(failure));
}

/** Null once it stands, else the code of what went wrong. */
function settled(socket: Socket, event: 'connect' | 'secureConnect'): Promise<string | null> {
  return new Promise((resolve) => {
    socket.setTimeout(timeoutMs, () => resolve('ETIMEDOUT'));
    socket.once(event, () => resolve(null));
    socket.once('error', (error) => resolve(codeOf(error)));
  });
}

function codeOf(error: Error): string {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error instanceof AggregateError && error.errors[0] instanceof Error ? codeOf(error.errors[0]) : error.message;
}
