import type { EventEmitter } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions as HttpOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { Logger } from 'pino';
import { sendProblem } from './problem.ts';
import { readTls, type TlsFiles } from './tls-files.ts';

/** The ports that are listened on, with what a connection may cost before anything of ours runs. */
export type Listeners = {
  /** Fastify's, for the port of /ingest. */
  options: ServerOptions;
  /** Opens the admin port, where there is one, for the same routes; its address. */
  listenAdmin(main: FastifyInstance): Promise<string | null>;
  /** A hook: with an admin port, the other one has only what senders and probes need. */
  separate(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined>;
  /** Takes notice of which connections have a request under way: others must not keep a server from closing. */
  watch(server: EventEmitter): void;
  /** Stops listening; resolves when all requests are answered. */
  close(main: FastifyInstance): Promise<void>;
};

type ServerOptions = Pick<FastifyServerOptions, 'requestTimeout' | 'keepAliveTimeout' | 'connectionTimeout'> &
  Required<Pick<FastifyServerOptions, 'clientErrorHandler'>> & {
    http?: HttpOptions;
    serverFactory?: (handler: RequestListener) => Server;
  };

export type ListenerOptions = {
  /** Null: one port for all. */
  admin: { host: string; port: number } | null;
  tls: TlsFiles | null;
  log: Pick<Logger, 'info' | 'error'>;
  patience?: Partial<typeof usualPatience>;
  lookEveryMs?: number;
};

const usualPatience = {
  /** From the first byte, or the connection, to the end of the headers: a slow client holds a socket no longer. */
  headersTimeout: 15_000,
  /** To the end of the body: 5 MB at 85 KB/s. */
  requestTimeout: 60_000,
  connectionsCheckingInterval: 1000,
};
const maxHeaderSize = 16 * 1024;
/** A proxy in front must give up an idle connection before we do: most do so after 60 s. */
const keepAliveTimeoutMs = 72_000;
/** Neither read nor written for so long: a client that does not take its answer. Streams have a heartbeat of 15 s. */
const silentSocketMs = 120_000;
const mostConnections = 2000;
/** For a request that is on its way when the end begins. */
const lastRequestMs = 1000;
const lookAtFilesEveryMs = 10_000;

const forSenders: ReadonlySet<string | undefined> = new Set([
  '/ingest',
  '/ingest/:installation',
  '/healthz',
  '/readyz',
  '/metrics',
]);

export function createListeners({ admin, tls, log, patience, lookEveryMs }: ListenerOptions): Listeners {
  const servers: (Server | TlsServer)[] = [];
  /** Of each connection, the requests that are not answered yet. */
  const underWay = new Map<Socket, number>();
  const adminSockets = new WeakSet<Socket>();
  let adminServer: Server | undefined;
  let current = tls && readTls(tls);
  const timer = tls && setInterval(reload, lookEveryMs ?? lookAtFilesEveryMs);

  const options = { ...usualPatience, ...patience, maxHeaderSize, keepAliveTimeout: keepAliveTimeoutMs };

  function open(handler: RequestListener): Server {
    const server = current ? createTlsServer({ ...options, ...current }, handler) : createServer(options, handler);
    server.maxConnections = mostConnections;
    server.setTimeout(silentSocketMs);
    servers.push(server);
    return server;
  }

  function watch(server: EventEmitter): void {
    server.on(current ? 'secureConnection' : 'connection', (socket: Socket) => {
      underWay.set(socket, 0);
      socket.once('close', () => underWay.delete(socket));
    });
    server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
      count(socket, 1);
      response.once('close', () => count(socket, -1));
    });
  }

  function count(socket: Socket, more: number): void {
    const requests = underWay.get(socket);
    if (requests !== undefined) underWay.set(socket, requests + more);
  }

  /** Certificates are renewed while we run. What does not fit (one file of two is written) is looked at again. */
  function reload(): void {
    if (!tls) return;
    try {
      const found = readTls(tls);
      if (current && found.cert.equals(current.cert) && found.key.equals(current.key)) return;
      for (const server of servers) if ('setSecureContext' in server) server.setSecureContext(found);
      current = found;
      log.info({ file: tls.certFile }, 'tls.reloaded');
    } catch (error) {
      log.error(
        { reason: error instanceof Error ? error.message : String(error) },
        'tls.not_reloaded: the former certificate is used on',
      );
    }
  }

  return {
    options: {
      requestTimeout: options.requestTimeout,
      keepAliveTimeout: keepAliveTimeoutMs,
      connectionTimeout: silentSocketMs,
      clientErrorHandler: answerClientError,
      // Fastify's own server, where it will do: of `localhost` it listens on both addresses.
      ...(current ? { serverFactory: open } : { http: options }),
    },
    async listenAdmin(main) {
      main.server.maxConnections = mostConnections;
      if (!admin) return null;
      const server = open((request, response) => main.routing(request, response));
      adminServer = server;
      watch(server);
      server.on('clientError', answerClientError);
      server.on(current ? 'secureConnection' : 'connection', (socket: Socket) => adminSockets.add(socket));
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(admin.port, admin.host, resolve);
      });
      const { address, port, family } = server.address() as AddressInfo;
      return `${current ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
    },
    async separate(request, reply) {
      if (!admin || adminSockets.has(request.raw.socket) || forSenders.has(request.routeOptions.url)) return undefined;
      const detail = 'this port takes events and answers probes; everything else is on the port that ADMIN_PORT names';
      return sendProblem(reply, { status: 404, code: 'not_found', detail });
    },
    watch,
    async close(main) {
      if (timer) clearInterval(timer);
      // A connection that was busy when the closing began is idle once it is answered, and would be kept for a minute.
      // One that has not sent a byte yet (browsers and balancers keep some ready) does not count as idle for 15 seconds.
      const cutAtMs = performance.now() + lastRequestMs;
      const idle = setInterval(() => {
        if (performance.now() > cutAtMs)
          for (const [socket, requests] of underWay) if (requests === 0) socket.destroy();
        main.server.closeIdleConnections();
        for (const server of servers) server.closeIdleConnections();
      }, 50);
      const server = adminServer;
      const adminClosed = server?.listening && new Promise<void>((resolve) => void server.close(() => resolve()));
      await Promise.all([main.close(), adminClosed]);
      clearInterval(idle);
    },
  };
}

/** What Node's parser refuses never becomes a request; it is answered like one, and told to no log: it may hold anything. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesWritten > 0) {
    socket.destroy();
    return;
  }
  const { status, code, detail } = clientProblems[error.code ?? ''] ?? unreadable;
  const title = STATUS_CODES[status];
  const body = JSON.stringify({ type: `urn:signal-intercom:problem:${code}`, title, status, code, detail });
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

const unreadable = { status: 400, code: 'bad_request', detail: 'this is no HTTP/1.1 request that can be read' };
const clientProblems: Record<string, typeof unreadable | undefined> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'headers_too_large',
    detail: `the headers are larger than ${maxHeaderSize / 1024} KB: send fewer or shorter ones`,
  },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { ...unreadable, status: 413, code: 'body_too_large' },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'too_slow',
    detail: 'the request did not arrive in time: send it faster, or less at once',
  },
};
