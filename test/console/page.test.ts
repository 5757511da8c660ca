import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import Fastify from 'fastify';
import t from 'tap';
import { request } from 'undici';
import { pageRoutes } from '../../src/console/page-routes.ts';
import { startService } from '../service.ts';

const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

async function get(url: string, headers: Record<string, string> = {}) {
  const response = await request(url, { headers });
  return {
    status: response.statusCode,
    headers: response.headers,
    body: Buffer.from(await response.body.arrayBuffer()),
  };
}

t.test('a browser gets the page without a token, under a policy that allows its own files alone', async (t) => {
  const { url } = await startService(t);
  const { status, headers, body } = await get(`${url}/`, html);
  t.equal(status, 200);
  t.match(headers, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
    vary: 'accept, accept-encoding',
  });
  t.notMatch(body.toString(), /<script(?![^>]*\ssrc=)|<style|\sstyle=/, 'nothing stands inline');
});

t.test('who asks by hand gets a pointer', async (t) => {
  const { get: read } = await startService(t);
  const { status, text } = await read('/');
  t.equal(status, 200);
  t.match(JSON.parse(text), { ingest: '/ingest', openapi: '/openapi.yaml', console: /browser/ });
});

t.test('the files that the page names may be kept for ever, and come compressed as asked', async (t) => {
  const { url } = await startService(t);
  const page = (await get(`${url}/`, html)).body.toString();
  const files = [...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map(([, path]) => path);
  t.ok(files.length >= 3);
  let gzipped = 0;
  for (const file of files) {
    const plain = await get(`${url}/${file}`);
    t.equal(plain.status, 200);
    t.equal(plain.headers['content-encoding'], undefined);
    t.equal(plain.headers['cache-control'], 'public, max-age=31536000, immutable');
    const brotli = await get(`${url}/${file}`, { 'accept-encoding': 'gzip, br' });
    t.equal(brotli.headers['content-encoding'], 'br');
    t.ok(brotliDecompressSync(brotli.body).equals(plain.body));
    const gzip = await get(`${url}/${file}`, { 'accept-encoding': 'gzip, br;q=0' });
    t.equal(gzip.headers['content-encoding'], 'gzip');
    t.ok(gunzipSync(gzip.body).equals(plain.body));
    gzipped += gzip.body.length;
    const again = await get(`${url}/${file}`, { 'if-none-match': String(plain.headers.etag) });
    t.same([again.status, again.body.length], [304, 0]);
  }
  t.ok(gzipped < 150_000, `${gzipped} bytes in all`);
});

t.test('another file is not found, wherever it lies', async (t) => {
  const { url } = await startService(t);
  for (const path of ['/assets/none.js', '/assets/..%2findex.html', '/assets/index.html'])
    t.equal((await get(url + path)).status, 404, path);
});

t.test('a service that was not built says so to the browser, and nothing else ends', async (t) => {
  const app = Fastify();
  await app.register(pageRoutes, { folder: new URL('none/', import.meta.url) });
  t.match(await app.inject({ url: '/', headers: html }), { statusCode: 500, body: /npm run build/ });
  t.equal((await app.inject('/')).statusCode, 200);
  await app.close();
});
