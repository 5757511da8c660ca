import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Answers like Intercom and remembers nothing, so that a million events leave its memory flat; odd now and then. */
export async function startForgetfulIntercom(): Promise<{ url: string; close(): void }> {
  let n = 0;
  const odd = [
    '{"type":"contact","id":null}',
    '{"type":"contact","id":{"__proto__":1}}',
    '[]',
    '"text"',
    '{"errors":"none"}',
    '{"errors":[{"code":"unknown","message":null}]}',
    '<html>',
    '',
  ];
  const server = createServer((request, response) => {
    n += 1;
    request.resume();
    request.once('end', () => {
      const path = request.url ?? '';
      const isEvent = path.startsWith('/events');
      const usual = answerOf(path, n);
      // The first answers are those of the start, which has to come about.
      const isOdd = n > 50 && n % 97 === 0;
      response.writeHead(isOdd && n % 2 === 0 ? 422 : isEvent ? 202 : 200, { 'content-type': 'application/json' });
      response.end(isOdd ? odd[(n / 97) % odd.length] : usual);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

function answerOf(path: string, n: number): string {
  if (path.startsWith('/me')) return '{"type":"admin","id":"1","app":{"id_code":"fuzz","name":"Fuzz","region":"US"}}';
  if (path.startsWith('/data_attributes'))
    return '{"type":"list","data":[{"name":"plan","full_name":"custom_attributes.plan","model":"contact","data_type":"string","custom":true}]}';
  if (path.includes('search')) return '{"type":"list","data":[],"total_count":0,"pages":{"page":1,"total_pages":0}}';
  if (path.startsWith('/companies')) return `{"type":"company","id":"co-${n}","company_id":"g"}`;
  if (path.startsWith('/events')) return '';
  return `{"type":"contact","id":"c-${n}","role":"user"}`;
}
