import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { type Simulator, startSimulator } from '../src/simulator/simulator.ts';
import { acknowledgedOf, deliveredLedger, judge, judgeLedger, loadSome, type Person, user } from './crash/people.ts';
import { freePort } from './free-port.ts';
import { type ServiceProcess, startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

/** An answer of /ingest that waits for nothing; on a machine that has other things to do. */
const quickMs = 2000;
const resumesWithinMs = 90_000; // the longest pause between two probes is 60 s

t.jobs = 3;

type Way = {
  /** INTERCOM_API_URL, and what else the service is started with. */
  env: Record<string, string>;
  code: string;
  remedy: RegExp;
  /** Intercom can be reached from now on, at the same address. */
  open(): Promise<Simulator>;
};

const ways: Record<string, (t: Test) => Promise<Way>> = {
  async 'a name that does not resolve'(t) {
    const simulator = await simulatorAt(t, 0);
    const file = join(temporaryFolder(t), 'known');
    const module = pathToFileURL(join(import.meta.dirname, 'faults/names.ts')).href;
    const url = simulator.url.replace('127.0.0.1', 'intercom.invalid');
    return {
      env: { INTERCOM_API_URL: url, NAME_FILE: file, NODE_OPTIONS: `--import ${module}` },
      code: '(ENOTFOUND|EAI_AGAIN)',
      remedy: /check the DNS of this machine or container, and INTERCOM_API_URL/,
      async open() {
        t.equal(simulator.count(), 0, 'control: no call has reached it');
        writeFileSync(file, '');
        return simulator;
      },
    };
  },
  async 'a port where nobody listens'(t) {
    const port = await freePort();
    return {
      env: { INTERCOM_API_URL: `http://127.0.0.1:${port}` },
      code: 'ECONNREFUSED',
      remedy: /firewall and egress rules/,
      async open() {
        t.equal(await connects(port), 'ECONNREFUSED', 'control: connections are refused');
        return simulatorAt(t, port);
      },
    };
  },
  async 'an address that swallows connections'(t) {
    const hole = await openBlackHole(t);
    return {
      env: { INTERCOM_API_URL: `http://127.0.0.1:${hole.port}` },
      code: 'UND_ERR_CONNECT_TIMEOUT',
      remedy: /firewall and egress rules/,
      async open() {
        t.equal(await connects(hole.port), 'no answer', 'control: a connection hangs');
        await hole.close();
        return simulatorAt(t, hole.port);
      },
    };
  },
};

for (const [name, lay] of Object.entries(ways))
  t.test(`${name}: events are kept, /readyz says what to do, and delivery resumes by itself`, async (t) => {
    const way = await lay(t);
    const service = await startProcess(t, {
      DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
      ...way.env,
    });
    const people = Array.from({ length: 10 }, (_, n) => user(`u-${n}`));
    t.ok((await slowestPost(service, people)) < quickMs, 'senders notice nothing');
    const unready = await until('it is told', async () => {
      const answer = await readyz(service);
      return answer.body.dispatch.reason === 'unreachable' ? answer : null;
    });
    t.match(unready, { status: 503, body: { store: { ok: true }, dispatch: { ok: false, remedy: way.remedy } } });
    t.match(
      unready.body.dispatch.message,
      new RegExp(`could not be reached: there is no connection to it \\(${way.code}\\)`),
    );
    t.match(unready.body.dispatch.remedy, /^nothing is lost and delivery resumes by itself; /);
    t.match(await readyz(service, '?only=store'), { status: 200 }, 'a load balancer goes on sending');
    t.ok((await slowestPost(service, people)) < quickMs, 'nor do they later');
    await isAllDelivered(t, service, await way.open(), people);
    t.match(await readyz(service), { status: 200 });
    t.equal(await service.end('SIGTERM'), 0);
  });

t.test('Intercom goes away while events flow, and comes back at the same address', async (t) => {
  const first = await simulatorAt(t, 0);
  const { port } = new URL(first.url);
  const service = await startProcess(t, {
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INTERCOM_API_URL: first.url,
  });
  const before = Array.from({ length: 10 }, (_, n) => user(`before-${n}`));
  await slowestPost(service, before);
  await isAllDelivered(t, service, first, before);
  await first.close();
  const later = Array.from({ length: 10 }, (_, n) => user(`later-${n}`));
  t.ok((await slowestPost(service, later)) < quickMs, 'senders notice nothing');
  const unready = await until('it is told', async () => {
    const answer = await readyz(service);
    return answer.status === 503 && answer.body.dispatch.reason === 'unreachable' ? answer : null;
  });
  t.match(unready.body.dispatch.message, /ECONNREFUSED/);
  const second = await simulatorAt(t, Number(port));
  await deliveredLedger(service.url, [...before, ...later], { withinMs: resumesWithinMs });
  judge(t, second, later);
  t.equal(await service.end('SIGTERM'), 0);
});

async function isAllDelivered(t: Test, service: ServiceProcess, simulator: Simulator, people: Person[]): Promise<void> {
  const ledger = await deliveredLedger(service.url, people, { withinMs: resumesWithinMs });
  judge(t, simulator, people);
  judgeLedger(t, ledger);
}

/** Some posts of each person's; how long the slowest answer took. */
async function slowestPost(service: ServiceProcess, people: Person[]): Promise<number> {
  let slowestMs = 0;
  const post = async (events: object[]): Promise<boolean> => {
    const startedAt = performance.now();
    const answer = await tryPost(service.url, events, { prefer: 'respond-async' });
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    return answer?.status === 202;
  };
  const before = acknowledgedOf(people);
  await Promise.all(people.map((person) => loadSome(person, post, 3)));
  if (acknowledgedOf(people) < before + people.length * 3) throw new Error('a post was not acknowledged');
  return slowestMs;
}

type Part = { ok: boolean; reason?: string; message?: string; remedy?: string };

async function readyz(
  { url }: ServiceProcess,
  query = '',
): Promise<{ status: number; body: { store: Part; dispatch: Part } }> {
  const answer = await request(`${url}/readyz${query}`);
  return { status: answer.statusCode, body: (await answer.body.json()) as { store: Part; dispatch: Part } };
}

async function simulatorAt(t: Test, port: number): Promise<Simulator> {
  const simulator = await startSimulator({ tokens: [token], port, limitPerMinute: 60_000 });
  t.teardown(() => simulator.close());
  return simulator;
}

/** What becomes of a connection. */
async function connects(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}); // of one that is kept: its end is that of the process which never took it
  const end = await Promise.race([
    once(socket, 'connect').then(() => 'connected'),
    setTimeout(500).then(() => 'no answer'),
  ]).catch((error: NodeJS.ErrnoException) => String(error.code));
  if (end !== 'connected') socket.destroy();
  else kept.push(socket);
  return end;
}

const kept: Socket[] = [];
t.teardown(() => kept.forEach((socket) => socket.destroy()));

/** A process that listens and is stopped: once its line of connections is full, the kernel answers no further one. */
async function openBlackHole(t: Test): Promise<{ port: number; close(): Promise<void> }> {
  const script =
    "const s = require('net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => console.log(s.address().port))";
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = await once(child.stdout, 'data');
  const port = Number(String(line));
  child.kill('SIGSTOP');
  await until('its line is full', async () => (await connects(port)) === 'no answer');
  return {
    port,
    async close() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
