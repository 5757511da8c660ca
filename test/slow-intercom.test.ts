import { join } from 'node:path';
import t from 'tap';
import { startSimulator } from '../src/simulator/simulator.ts';
import {
  acknowledgedOf,
  deliveredLedger,
  judge,
  judgeLedger,
  ledgerOf,
  loadSome,
  type Person,
  totalOf,
  user,
} from './crash/people.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const concurrency = 64; // by default
const slowMs = 30_000;
/** What in-flight calls may take at the end, and the closing itself; `docker stop -t 15` gives no more. */
const graceMs = 15_000;
const growthMb = 80;

t.jobs = 2;

t.test(
  'Intercom takes 30 s for each answer: ingest is as quick as ever, memory stays, and the end is in time',
  async (t) => {
    const simulator = await startSimulator({ tokens: [token], limitPerMinute: 6_000_000 });
    t.teardown(() => simulator.close());
    const env = {
      DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
      INTERCOM_API_URL: simulator.url,
    };
    const first = await startProcess(t, env);
    const [warm, ...people] = Array.from({ length: 150 }, (_, n) => user(`u-${n}`));
    const quickly = await send(first.url, [warm!], 40);
    const mbBefore = residentMb(await deliveredLedger(first.url, [warm!]));

    simulator.configure({ latencyMs: slowMs });
    const waits = simulator.count();
    const slowly = await send(first.url, people, 10);
    const asked = performance.now();
    const answer = await tryPost(first.url, { type: 'track', event: 'Clicked', userId: 'waits', messageId: 'waits' });
    t.equal(answer?.status, 202, 'who waits for the delivery is told that it is queued');
    t.ok(performance.now() - asked < 5000, 'after the second that it waits');
    const during = await ledgerOf(first.url);
    t.equal(
      simulator.count() - waits,
      concurrency,
      'control: as many calls as may be under way wait for their answers',
    );
    t.ok(totalOf(during, 'queued') >= acknowledgedOf(people), 'control: nothing is delivered meanwhile');
    t.comment(`slowest answer of /ingest: ${quickly} ms before, ${slowly} ms meanwhile`);
    t.ok(slowly < Math.max(1000, 10 * quickly), 'senders notice nothing');
    const grownMb = residentMb(during) - mbBefore;
    t.comment(`${acknowledgedOf(people)} events queued, memory from ${mbBefore} by ${grownMb} MB`);
    t.ok(grownMb < growthMb, `memory grew by ${grownMb} MB`);

    const endedAt = performance.now();
    t.equal(await first.end('SIGTERM'), 0);
    t.ok(performance.now() - endedAt < graceMs, `it ended after ${Math.round(performance.now() - endedAt)} ms`);

    simulator.configure({ latencyMs: 0 });
    const second = await startProcess(t, env);
    const everybody = [warm!, ...people];
    const ledger = await deliveredLedger(second.url, everybody, { others: 1 });
    judge(t, simulator, everybody);
    judgeLedger(t, ledger);
    t.equal(await second.end('SIGTERM'), 0);
  },
);

t.test('told a second time to end, it waits for nothing, and says so', async (t) => {
  const simulator = await startSimulator({ tokens: [token] });
  t.teardown(() => simulator.close());
  const service = await startProcess(t, {
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INTERCOM_API_URL: simulator.url,
  });
  await send(service.url, [user('u-0')], 1);
  await until('Intercom has been asked', () => simulator.calls.some(({ endpoint }) => endpoint === 'POST /events'));
  simulator.configure({ latencyMs: slowMs });
  const before = simulator.count();
  await send(service.url, [user('u-1')], 1);
  await until('a call waits for its answer', () => simulator.count() > before);
  service.child.kill('SIGTERM');
  await until('it is stopping', () => service.output().includes('service.stopping'));
  t.equal(await service.end('SIGTERM'), 1);
  t.match(service.output(), 'told again, it ends at once');
});

t.test(
  'Intercom carries calls out and never answers: each is given up after a minute, and none counts twice',
  async (t) => {
    const simulator = await startSimulator({ tokens: [token], limitPerMinute: 6_000_000 });
    t.teardown(() => simulator.close());
    const service = await startProcess(t, {
      DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
      INTERCOM_API_URL: simulator.url,
    });
    const people = Array.from({ length: 8 }, (_, n) => user(`u-${n}`));
    await send(service.url, people, 1);
    await deliveredLedger(service.url, people);
    simulator.inject({ kind: 'hang_after', endpoint: 'POST /events', times: 4 });
    await send(service.url, people, 6);
    const ledger = await deliveredLedger(service.url, people, { withinMs: 150_000 });
    t.match(
      ledger,
      /signal_intercom_attempts_total\{[^}]*reason="timeout"[^}]*\} 4\n/,
      'control: four calls timed out',
    );
    judge(t, simulator, people);
    judgeLedger(t, ledger);
    t.equal(await service.end('SIGTERM'), 0);
  },
);

/** Posts of each person's, and how long the slowest answer took. */
async function send(url: string, people: Person[], posts: number): Promise<number> {
  let slowestMs = 0;
  const post = async (events: object[]): Promise<boolean> => {
    const startedAt = performance.now();
    const answer = await tryPost(url, events, { prefer: 'respond-async' });
    slowestMs = Math.max(slowestMs, performance.now() - startedAt);
    return answer?.status === 202;
  };
  // A few senders at a time, as a Signal is: what is measured is the service, not the line before it.
  const rest = people.values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const person of rest) await loadSome(person, post, posts);
    }),
  );
  return Math.round(slowestMs);
}

function residentMb(metrics: string): number {
  return Math.round(Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)?.[1]) / 1e6);
}
