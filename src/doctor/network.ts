import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
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

function remedyFor(failure: string): string {
  if (failure === 'ENOTFOUND' || failure === 'EAI_AGAIN')
    return 'the name is not found: check the DNS of this machine or container, and INTERCOM_API_URL if it is set';
  if (/CERT|SIGNATURE|TLS|SSL/.test(failure))
    return "its certificate is not trusted: if a proxy of yours opens TLS, give Node the proxy's CA with NODE_EXTRA_CA_CERTS";
  const proxied = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  const hint = proxied === undefined ? '' : ' (HTTPS_PROXY is not used)';
  return `let this machine connect to that host and port directly${hint}: look at firewall and egress rules`;
}
