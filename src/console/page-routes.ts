import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ProblemError } from '../problem.ts';
import { secureHeaders } from './secure-headers.ts';

/** Seen from src/console and from dist/console alike. */
const built = new URL('../../dist/console/page/', import.meta.url);

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The best first. The build has made them all. */
const encodings = [
  { name: 'br', suffix: '.br' },
  { name: 'gzip', suffix: '.gz' },
];

type File = { type: string; etag: string; plain: Buffer; encoded: { name: string; bytes: Buffer }[] };

/** Only the page itself is without a token: it holds nothing, and asks for the token before it asks for anything. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'none'",
].join('; ');

/** `GET /`: the console for a browser, and a pointer for who asks by hand. Its files are read once, at the start. */
export async function pageRoutes(app: FastifyInstance, { folder = built }: { folder?: URL }): Promise<void> {
  const page = existsSync(new URL('index.html', folder)) ? read(new URL('index.html', folder)) : null;
  const assets = page ? readAssets(new URL('assets/', folder)) : new Map<string, File>();

  app.get('/', async (request, reply) => {
    secure(reply).header('cache-control', 'no-cache').header('vary', 'accept, accept-encoding');
    if (!(request.headers.accept ?? '').includes('text/html')) return reply.send(pointer);
    if (!page) {
      const detail = 'the console is not built: run npm run build, and start again';
      throw new ProblemError({ status: 503, code: 'not_built', detail });
    }
    return send(request, reply, page);
  });

  app.get<{ Params: { file: string } }>('/assets/:file', async (request, reply) => {
    const asset = assets.get(request.params.file);
    if (!asset) {
      const detail =
        'the console has no such file; a page that was open during an upgrade is mended by loading it anew';
      throw new ProblemError({ status: 404, code: 'not_found', detail });
    }
    secure(reply).header('cache-control', 'public, max-age=31536000, immutable').header('vary', 'accept-encoding');
    return send(request, reply, asset);
  });
}

const pointer = {
  service: 'signal-intercom',
  ingest: '/ingest',
  openapi: '/openapi.yaml',
  readiness: '/readyz',
  console: 'open this address in a browser',
};

function secure(reply: FastifyReply): FastifyReply {
  return reply.headers({ ...secureHeaders, 'content-security-policy': policy });
}

function send(request: FastifyRequest, reply: FastifyReply, file: File): FastifyReply {
  reply.header('etag', file.etag).type(file.type);
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
  const accepted = acceptedEncodings(request.headers['accept-encoding']);
  const encoded = file.encoded.find(({ name }) => accepted.has(name));
  if (!encoded) return reply.send(file.plain);
  return reply.header('content-encoding', encoded.name).send(encoded.bytes);
}

function acceptedEncodings(header: string | string[] | undefined): Set<string> {
  const items = String(header ?? '')
    .split(',')
    .map((item) => item.replaceAll(' ', '').toLowerCase());
  return new Set(items.filter((item) => !/;q=0(\.0*)?$/.test(item)).map((item) => item.split(';')[0] ?? ''));
}

function readAssets(place: URL): Map<string, File> {
  const names = readdirSync(place).filter((name) => types[extname(name)] !== undefined);
  return new Map(names.map((name) => [name, read(new URL(name, place))]));
}

function read(file: URL): File {
  const plain = readFileSync(file);
  return {
    type: types[extname(file.pathname)] ?? 'application/octet-stream',
    etag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
    plain,
    encoded: encodings.flatMap(({ name, suffix }) => {
      const other = new URL(`${file.href}${suffix}`);
      return existsSync(other) ? [{ name, bytes: readFileSync(other) }] : [];
    }),
  };
}
