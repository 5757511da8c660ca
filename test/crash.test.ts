import { join } from 'node:path';
import t from 'tap';
import { startSimulator } from '../src/simulator/simulator.ts';
import {
  acknowledgedOf,
  judge,
  judgeLedger,
  judgeWaiting,
  lead,
  ledgerOf,
  load,
  mostAtOnce,
  type Person,
  totalOf,
  user,
} from './crash/people.ts';
import { createRandom } from './faults/random.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const rounds = Number(process.env.CRASH_ROUNDS ?? 10);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);

t.test(`killed ${rounds} times under load, no acknowledged event is lost, doubled or out of order`, async (t) => {
  t.comment(`CRASH_SEED=${seed}`);
  const random = createRandom(seed);
  const simulator = await startSimulator({ tokens: [token], limitPerMinute: 6_000_000, latencyMs: 2, indexLagMs: 0 });
  t.teardown(() => simulator.close());
  const env = {
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INTERCOM_API_URL: simulator.url,
    LOG_LEVEL: 'info',
  };
  const people = Array.from({ length: 12 }, (_, n) => user(`u-${n}`));
  const leads = Array.from({ length: 4 }, (_, n) => lead(`lead-${n}`));
  const everybody = [...people, ...leads];
  let killed = 0;

  for (let round = 0; round < rounds; round += 1) {
    const service = await startProcess(t, env);
    const stop = new AbortController();
    // What was not acknowledged is sent again to the next process, as Signal would.
    const post = async (events: object[]): Promise<boolean> => {
      const answer = await tryPost(service.url, events, { prefer: 'respond-async' });
      return answer?.status === 202 || answer?.status === 200;
    };
    const loads = everybody.map((person) => load(person, post, stop.signal));
    // Counted in acknowledgements, not in time: a slow machine is killed just as deep in its work.
    const before = acknowledgedOf(everybody);
    const target = 1 + random.below(120);
    await until('enough was acknowledged', () => acknowledgedOf(everybody) - before >= target, 120_000);
    t.equal(await service.end('SIGKILL'), 'SIGKILL');
    killed += 1;
    stop.abort();
    await Promise.all(loads);
  }

  t.equal(killed, rounds, 'every round ended in a kill');
  const service = await startProcess(t, env);
  // A lead whose creation was cut short waits minutes for the search index; it may still be queued.
  const hasArrived = ({ id, acknowledged }: Person): boolean => simulator.timeline(id).length >= acknowledged.length;
  await until('all events of users have arrived', () => people.every(hasArrived), 120_000);
  // Of each lead also what was kept, and killed before it was acknowledged.
  const mayWait = acknowledgedOf(leads) + leads.length * mostAtOnce;
  const ledger = await until('the last of them is settled', async () => {
    const text = await ledgerOf(service.url);
    return totalOf(text, 'queued') <= mayWait ? text : null;
  });
  judgeLedger(t, ledger);
  t.comment(`${acknowledgedOf(everybody)} events were acknowledged`);
  judge(t, simulator, people);
  judgeWaiting(t, simulator, leads);
  t.equal(await service.end('SIGTERM'), 0);
});

t.test('SIGTERM: what is in flight ends, what waits is kept, and nothing is lost', async (t) => {
  const simulator = await startSimulator({ tokens: [token], latencyMs: 300, limitPerMinute: 6_000_000 });
  t.teardown(() => simulator.close());
  const env = {
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INTERCOM_API_URL: simulator.url,
    INTERCOM_CONCURRENCY: '4',
    INGEST_WAIT_MS: '0',
  };
  const first = await startProcess(t, env);
  const events = Array.from({ length: 40 }, (_, n) => ({
    type: 'identify',
    userId: `u-${n}`,
    messageId: `m-${n}`,
    traits: { name: `N ${n}` },
  }));
  const answer = await tryPost(first.url, events);
  t.equal(answer?.status, 202);
  await until('some are under way', () => simulator.count('POST /contacts') > 0);
  t.equal(await first.end('SIGTERM'), 0, 'exit code');
  const sent = simulator.count('POST /contacts');
  t.ok(sent < events.length, `${sent} of ${events.length} were sent before the end`);
  t.equal(simulator.contacts().length, sent, 'what was begun was ended');
  const second = await startProcess(t, env);
  await until('the rest arrived', () => simulator.contacts().length === events.length);
  t.equal(simulator.count('POST /contacts'), events.length, 'what had ended was not sent again');
  t.equal(await second.end('SIGTERM'), 0);
});

t.test('a process that can not start says why in one line and exits with 1', async (t) => {
  await t.rejects(
    startProcess(t, { INTERCOM_REGION: 'mars', DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}` }),
    /INTERCOM_REGION must be us, eu or au/,
  );
});
