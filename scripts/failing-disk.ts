// `npm run failing-disk`: the service on a disk whose sync fails now and then (strace makes fsync and fdatasync answer
// EIO), and what must come of it: nothing that was acknowledged is lost. Linux, with strace.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import { startSimulator } from '../src/simulator/simulator.ts';

const senders = 48; // at once, so that more than one group of events is on its way to the disk
const eventsEach = 40;
const failing = '40..44'; // of each thread's calls
const token = 'demo-token';

const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-failing-disk-'));
const trace = join(folder, 'trace');
const simulator = await startSimulator({ tokens: [token] });
const port = 18_000 + Math.floor(Math.random() * 1000);
const url = `http://127.0.0.1:${port}`;
const faults = ['-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:error=EIO:when=${failing}`];
const child = spawn('strace', ['-f', '-o', trace, ...faults, process.execPath, 'src/server.ts'], {
  env: {
    PATH: process.env.PATH,
    INTERCOM_ACCESS_TOKEN: token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${join(folder, 'queue.db')}`,
    PORT: String(port),
    INGEST_WAIT_MS: '0',
    LOG_LEVEL: 'error',
  },
  stdio: ['ignore', 'inherit', 'inherit'],
});

const post = async (userId: string): Promise<number> => {
  const body = JSON.stringify({ type: 'track', event: 'E', userId, messageId: `m-${userId}` });
  const headers = { 'content-type': 'application/json' };
  const answer = await request(`${url}/ingest`, { method: 'POST', headers, body });
  await answer.body.dump();
  return answer.statusCode;
};
const isUp = async (): Promise<boolean> => {
  try {
    const answer = await request(`${url}/healthz`);
    await answer.body.dump();
    return true;
  } catch {
    return false;
  }
};

try {
  while (!(await isUp())) {
    if (child.exitCode !== null) throw new Error('the service did not start: is strace installed?');
    await delay(100);
  }
  const kept: string[] = [];
  let refused = 0;
  const send = async (sender: number): Promise<void> => {
    for (let n = 0; n < eventsEach; n += 1) {
      const user = `u-${sender}-${n}`;
      if ((await post(user)) < 300) kept.push(user);
      else {
        refused += 1;
        await delay(300);
      }
    }
  };
  await Promise.all(Array.from({ length: senders }, (_, sender) => send(sender)));
  const missing = (): string[] => kept.filter((user) => simulator.timeline(user).length !== 1);
  for (let n = 0; n < 150 && missing().length > 0; n += 1) await delay(200);
  const injected = (readFileSync(trace, 'utf8').match(/INJECTED/g) ?? []).length;
  const isWell = injected > 0 && refused > 0 && kept.length > 0 && missing().length === 0;
  process.stdout.write(
    `syncs that failed: ${injected}; acknowledged: ${kept.length}, refused: ${refused}; acknowledged and not exactly once in Intercom: ${missing().length}\n${isWell ? 'well' : 'not well'}\n`,
  );
  process.exitCode = isWell ? 0 : 1;
} finally {
  // The service outlives strace, and so is ended first.
  const started = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const ended = once(child, 'exit');
  for (const pid of started) if (pid > 0) process.kill(pid, 'SIGTERM');
  await ended;
  await simulator.close();
  rmSync(folder, { recursive: true, force: true });
}
