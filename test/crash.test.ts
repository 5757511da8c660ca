import { join } from 'node:path';
import t from 'tap';
import { request } from 'undici';
import { startSimulator } from '../src/simulator/simulator.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const rounds = Number(process.env.CRASH_ROUNDS ?? 10);
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
  const people = Array.from({ length: 12 }, (_, n) => person(`u-${n}`, { userId: `u-${n}` }));
  const leads = Array.from({ length: 4 }, (_, n) => person(`l-${n}`, { traits: { email: `lead-${n}@example.com` } }));
  const everybody = [...people, ...leads];
  let killed = 0;

  /** One person's events, one after the other; what was not acknowledged is sent again, as Signal would. */
  async function load(url: string, person: Person, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const n = person.next;
      const events = Array.from({ length: 1 + (n % 3) }, (_, i) => ({
        type: 'track',
        event: 'Clicked',
        ...person.identity,
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
    const loads = everybody.map((person) => load(service.url, person, stop.signal));
    // Counted in acknowledgements, not in time: a slow machine is killed just as deep in its work.
    const before = acknowledgedOf(everybody);
    const target = 1 + Math.floor(random() * 120);
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
  const ledger = await until('the last of them is settled', async () => {
    const text = await ledgerOf(service.url);
    return totalOf(text, 'queued') <= leads.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
      ? text
      : null;
  });
  const states = ['delivered', 'filtered', 'dead', 'queued'].map((state) => totalOf(ledger, state));
  t.equal(
    totalOf(ledger, 'accepted'),
    states.reduce((sum, n) => sum + n),
    'the ledger balances',
  );
  t.equal(totalOf(ledger, 'dead'), 0);
  t.comment(`${acknowledgedOf(everybody)} events were acknowledged`);
  for (const { id, acknowledged } of people) {
    const arrived = simulator.timeline(id).map(({ metadata }) => Number(metadata.n));
    t.strictSame(
      acknowledged.filter((n) => !arrived.includes(n)),
      [],
      `${id}: nothing acknowledged is lost`,
    );
    t.equal(new Set(arrived).size, arrived.length, `${id}: nothing is doubled`);
    t.strictSame(
      arrived,
      arrived.toSorted((a, b) => a - b),
      `${id}: in the order of acceptance`,
    );
  }
  for (const { identity } of leads) {
    const made = simulator.allContacts().filter(({ email }) => email === identity.traits?.email);
    t.ok(made.length <= 1, `${identity.traits?.email}: one lead at the most`);
    const arrived = made.flatMap((lead) => simulator.timeline(lead.id).map(({ metadata }) => Number(metadata.n)));
    t.equal(new Set(arrived).size, arrived.length, `${identity.traits?.email}: nothing is doubled`);
    t.strictSame(
      arrived,
      arrived.toSorted((a, b) => a - b),
      `${identity.traits?.email}: in the order of acceptance`,
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

type Person = {
  id: string;
  identity: { userId?: string; traits?: { email: string } };
  next: number;
  acknowledged: number[];
};

function person(id: string, identity: Person['identity']): Person {
  return { id, identity, next: 0, acknowledged: [] };
}

async function ledgerOf(url: string): Promise<string> {
  return (await request(`${url}/metrics`)).body.text();
}

function totalOf(metrics: string, state: string): number {
  const name = state === 'accepted' ? 'accepted_events_total' : `ledger_events\\{state="${state}"\\}`;
  return Number(new RegExp(`${name} (\\d+)`).exec(metrics)?.[1]);
}

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
