import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { startSimulator } from '../src/simulator/simulator.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const rounds = Number(process.env.CRASH_ROUNDS ?? 20);
const seed = Number(process.env.CRASH_SEED ?? Date.now() % 1_000_000);

t.test(`killed ${rounds} times under load, no acknowledged event is lost, doubled or out of order`, async (t) => {
  t.comment(`CRASH_SEED=${seed}`);
  const random = generator(seed);
  const simulator = await startSimulator({ tokens: [token], limitPerMinute: 6_000_000, latencyMs: 2, indexLagMs: 0 });
  t.teardown(() => simulator.close());
  const env = {
    DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}`,
    INTERCOM_API_URL: simulator.url,
    LOG_LEVEL: 'info',
  };
  const people = Array.from({ length: 12 }, (_, n) => ({ id: `u-${n}`, next: 0, acknowledged: [] as number[] }));
  let killed = 0;

  /** One person's events, one after the other; what was not acknowledged is sent again, as Signal would. */
  async function load(url: string, person: (typeof people)[number], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const n = person.next;
      const events = Array.from({ length: 1 + (n % 3) }, (_, i) => ({
        type: 'track',
        event: 'Clicked',
        userId: person.id,
        messageId: `${person.id}-${n + i}`,
        timestamp: 1_772_029_800_000 + Math.floor((n + i) / 4) * 1000,
        properties: { n: n + i },
      }));
      const answer = await tryPost(url, events, { prefer: 'respond-async' });
      if (answer?.status !== 202 && answer?.status !== 200) return;
      person.acknowledged.push(...events.map(({ properties }) => properties.n));
      person.next += events.length;
    }
  }

  for (let round = 0; round < rounds; round += 1) {
    const service = await startProcess(t, env);
    const stop = new AbortController();
    const loads = people.map((person) => load(service.url, person, stop.signal));
    // Counted in acknowledgements, not in time: a slow machine is killed just as deep in its work.
    const before = acknowledgedOf(people);
    const target = 1 + Math.floor(random() * 120);
    await until('enough was acknowledged', () => acknowledgedOf(people) - before >= target, 30_000);
    t.equal(await service.end('SIGKILL'), 'SIGKILL');
    killed += 1;
    stop.abort();
    await Promise.all(loads);
  }

  t.equal(killed, rounds, 'every round ended in a kill');
  const service = await startProcess(t, env);
  const queued = async (): Promise<string> =>
    (await (await request(`${service.url}/metrics`)).body.text())
      .split('\n')
      .filter((line) => line.includes('ledger'))
      .join('\n');
  await until('the queue is empty', async () => /state="queued"\} 0/.test(await queued()), 60_000);
  const ledger = await queued();
  const total = (state: string): number => Number(new RegExp(`state="${state}"\\} (\\d+)`).exec(ledger)?.[1]);
  t.equal(total('accepted'), total('delivered') + total('filtered') + total('dead'), 'the ledger balances');
  t.equal(total('dead'), 0);
  t.comment(`${acknowledgedOf(people)} events were acknowledged`);
  for (const person of people) {
    const arrived = simulator.timeline(person.id).map(({ metadata }) => Number(metadata.n));
    t.strictSame(
      person.acknowledged.filter((n) => !arrived.includes(n)),
      [],
      `${person.id}: nothing acknowledged is lost`,
    );
    t.equal(new Set(arrived).size, arrived.length, `${person.id}: nothing is doubled`);
    t.strictSame(
      arrived,
      arrived.toSorted((a, b) => a - b),
      `${person.id}: in the order of acceptance`,
    );
  }
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
  await until('the rest arrived', () => simulator.contacts().length === events.length, 30_000);
  t.equal(simulator.count('POST /contacts'), events.length, 'what had ended was not sent again');
  t.equal(await second.end('SIGTERM'), 0);
});

t.test('a process that can not start says why in one line and exits with 1', async (t) => {
  await t.rejects(
    startProcess(t, { INTERCOM_REGION: 'mars', DATABASE_URL: `file:${join(temporaryFolder(t), 'queue.db')}` }),
    /INTERCOM_REGION must be us, eu or au/,
  );
});

function acknowledgedOf(people: { acknowledged: number[] }[]): number {
  return people.reduce((sum, person) => sum + person.acknowledged.length, 0);
}

/** Mulberry32: small, and good enough to spread the kills. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
