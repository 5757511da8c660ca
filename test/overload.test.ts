import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { startService, temporaryFolder, until } from './service.ts';

const track = (event: string) => ({ type: 'track', event, userId: 'u-1' });

t.test('large bodies that are under way are bounded, whoever sends them, and room comes back by itself', async (t) => {
  const { url, post } = await startService(t, {
    env: { INGEST_HMAC_SECRET: 'a-long-shared-secret', INGEST_TOKEN: 'token' },
  });
  const authorization = { authorization: 'Bearer token' };
  const sockets: Socket[] = [];
  const answers: string[] = [];
  for (let n = 0; n < 20; n += 1) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    sockets.push(socket);
    socket.on('data', (bytes) => void (answers[n] = String(bytes)));
    socket.on('error', () => {});
    const length = n % 2 === 0 ? 'content-length: 5000000' : 'transfer-encoding: chunked';
    socket.write(
      `POST /ingest HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-signature: unknown-yet\r\n${length}\r\n\r\n`,
    );
  }
  await until('some are refused', () => answers.filter((answer) => answer?.startsWith('HTTP/1.1 429')).length >= 7);
  t.match(answers.join(''), /retry-after: 1/i);
  const large = { ...track('Large'), properties: { text: 'x'.repeat(60_000) } };
  t.equal(
    (
      await post(
        Array.from({ length: 50 }, () => large),
        authorization,
      )
    ).status,
    429,
  );
  t.equal((await post(track('Small'), authorization)).status, 200, 'an ordinary event is taken meanwhile');
  for (const socket of sockets) socket.destroy();
  await until('there is room again', async () => (await post([large], authorization)).status === 200);
});

t.test('who finds no room waits unread, and is served as soon as there is some', async (t) => {
  const { url, simulator } = await startService(t);
  const port = Number(new URL(url).port);
  const head = 'POST /ingest HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n';
  const open = async (length: number): Promise<{ socket: Socket; answer(): string }> => {
    const socket = connect(port, '127.0.0.1');
    t.teardown(() => socket.destroy());
    let answer = '';
    socket.on('data', (bytes) => void (answer += String(bytes)));
    socket.on('error', () => {});
    socket.write(`${head}prefer: respond-async\r\ncontent-length: ${length}\r\n\r\n`);
    await until('the server has its headers', () => answer.startsWith('HTTP/1.1 100 Continue'));
    return { socket, answer: () => answer };
  };
  const slow: Socket[] = [];
  for (let n = 0; n < 4; n += 1) slow.push((await open(4_190_000)).socket);
  const body = JSON.stringify({ ...track('Waited'), properties: { text: 'x'.repeat(40_000) } });
  const gone = await open(4_190_000);
  const late = await open(body.length);
  late.socket.write(body);
  gone.socket.destroy(); // first in line, and must not keep what it gets
  slow[0]!.destroy();
  await until('it is answered', () => /HTTP\/1.1 [24]\d\d/.test(late.answer()));
  t.match(late.answer(), /HTTP\/1.1 202/);
  await until('it is delivered', () => simulator.timeline('u-1').length === 1);
});

t.test('with as many events as may wait, further ones are refused until some are delivered', async (t) => {
  const { post, get, simulator } = await startService(t, { env: { QUEUE_MAX_EVENTS: '2' } });
  simulator.inject({ kind: 'status', status: 503, endpoint: 'POST /events', times: 1 });
  const later = { prefer: 'respond-async' };
  t.equal((await post([track('A'), track('B'), track('C')], later)).status, 202, 'a request is taken as a whole');
  const refused = await post(track('D'), later);
  t.equal(refused.status, 503);
  t.match(refused.body, { code: 'cannot_store', detail: /QUEUE_MAX_EVENTS/ });
  t.ok(refused.headers['retry-after']);
  t.match(await get('/readyz?only=store'), { status: 503, text: /QUEUE_MAX_EVENTS/ });
  await until('all of it is delivered', () => simulator.timeline('u-1').length === 3);
  await until('events are taken again', async () => (await post(track('E'), later)).status === 202);
});

t.test('an event loop that is a second late takes nothing more, until it is well again', async (t) => {
  const { post, get } = await startService(t);
  let stalls = 0;
  await until('it is late', async () => {
    const endsAt = performance.now() + 1500;
    while (performance.now() < endsAt);
    stalls += 1;
    const answer = await post(track('Late'), { prefer: 'respond-async' });
    if (answer.status < 300) return undefined;
    t.match(answer, { status: 429, headers: { 'retry-after': '1' } });
    t.match(answer.body, { code: 'overloaded', detail: /^the service is more than 1 s behind/ });
    return (await get('/healthz')).status === 200;
  });
  t.ok(stalls > 1, 'once is no overload: a process may be stopped for a moment');
  await until('it is well', async () => (await post(track('Well'))).status === 200);
});

const folder = temporaryFolder(t);
const canMount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', folder]).status === 0;
t.teardown(() => canMount && spawnSync('umount', ['-l', folder]));

t.test(
  'a disk that fills up: 503 before it is full, what is stored is delivered, and it goes on by itself',
  { skip: canMount ? false : 'no file system can be mounted here' },
  async (t) => {
    const { post, get, simulator } = await startService(t, { databasePath: join(folder, 'queue.db') });
    simulator.inject({ kind: 'status', status: 500, endpoint: 'POST /events', times: 2 });
    t.equal((await post(track('Before'), { prefer: 'respond-async' })).status, 202);
    writeFileSync(join(folder, 'filler'), Buffer.alloc(40_300_000));
    const refused = await until('it is refused', async () => {
      const answer = await post(track('Meanwhile'));
      return answer.status === 503 ? answer : undefined;
    });
    t.match(refused.body, { code: 'cannot_store', detail: /the disk has less than 2 MB left/ });
    t.ok(refused.headers['retry-after']);
    t.match(await get('/readyz?only=store'), { status: 503, text: /the disk has less/ });
    await until('what was stored is delivered', () => simulator.timeline('u-1').length > 0, 60_000);
    rmSync(join(folder, 'filler'));
    await until('events are taken again', async () => (await post(track('After'))).status === 200);
    t.equal((await get('/readyz?only=store')).status, 200);
  },
);
