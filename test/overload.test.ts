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
