import t, { type Test } from 'tap';
import { Client } from 'pg';
import { type Simulator, startSimulator } from '../src/simulator/simulator.ts';
import { conflictFor, waitForFifthAttempt } from './clock/conflicts.ts';
import { deliveredLedger, judge, judgeLedger, ledgerOf, loadSome, totalOf, user } from './crash/people.ts';
import { startPostgres } from './postgres.ts';
import { type ServiceProcess, startProcess, tryPost } from './process.ts';
import { token, until } from './service.ts';

/** No multiple of Intercom's windows, and far from what anybody may wait. */
const farMs = 3_607_300;
const soonMs = 60_000;
const secrets = { ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'), ADMIN_TOKEN: 'an-admin-token-of-tests' };

const server = await startPostgres();
t.teardown(() => server.close());
t.jobs = 2;

type When = 'two replicas run, of which one dies then' | 'nobody runs';

for (const [jump, shiftMs, when] of [
  ['forwards', farMs, 'two replicas run, of which one dies then'],
  ['back', -farMs, 'two replicas run, of which one dies then'],
  ['back', -farMs, 'nobody runs'],
] as [string, number, When][])
  t.test(`the clock of the database jumps ${jump} by an hour while ${when}, and nobody waits for it`, async (t) => {
    const { simulator, database, replica } = await openStage(t);
    const [first, second] = await Promise.all([replica(), replica()]);
    const people = Array.from({ length: 30 }, (_, n) => user(`quick-${n}`));
    const refused = Array.from({ length: 8 }, (_, n) => user(`refused-${n}`));
    const everybody = [...people, ...refused];
    conflictFor(simulator, 'refused-');
    const post =
      ({ url }: ServiceProcess) =>
      async (events: object[]): Promise<boolean> =>
        (await tryPost(url, events, { prefer: 'respond-async' }))?.status === 202;

    await Promise.all(refused.map((person) => loadSome(person, post(first), 2)));
    await waitForFifthAttempt(simulator, refused);
    await Promise.all(people.map((person) => loadSome(person, post(second), 7)));
    await until('some wait', async () => totalOf(await ledgerOf(first.url), 'queued') > 100);

    const jumped = async (): Promise<void> => {
      const before = await database.now();
      await database.shift(shiftMs);
      const offMs = (await database.now()) - before - shiftMs;
      t.ok(Math.abs(offMs) < soonMs, 'control: the clock of the database did jump');
    };
    let left = first;
    if (when === 'nobody runs') {
      await Promise.all([first.end('SIGKILL'), second.end('SIGKILL')]);
      await jumped();
      simulator.clearFaults();
      left = await replica();
    } else {
      await Promise.all([jumped(), second.end('SIGKILL')]);
      simulator.clearFaults();
    }
    await Promise.all(everybody.map((person) => loadSome(person, post(left), 2)));
    const startedAt = performance.now();
    const ledger = await deliveredLedger(left.url, everybody, { withinMs: soonMs });
    t.comment(`all was delivered ${Math.round(performance.now() - startedAt)} ms after the jump`);
    judge(t, simulator, everybody);
    judgeLedger(t, ledger);
    if (shiftMs < 0) t.match(left.output(), /database\.clock_set_back/);
    t.equal(await left.end('SIGTERM'), 0);
  });

t.test('the clock of the database jumps back while delivery is held, which ends as soon as ever', async (t) => {
  const { simulator, database, replica } = await openStage(t);
  const replicas = await Promise.all([replica(), replica()]);
  const people = [user('somebody'), user('somebody-else')];
  simulator.setTokens(['another-token']);
  const refusals = (): number => simulator.calls.filter(({ status }) => status === 401).length;
  const [{ url }] = replicas;
  const post = async (events: object[]): Promise<boolean> =>
    (await tryPost(url, events, { prefer: 'respond-async' }))?.status === 202;
  await Promise.all(people.map((person) => loadSome(person, post, 2)));
  await until('Intercom was asked in vain', () => refusals() >= 2);

  await database.shift(-farMs);
  const before = refusals();
  await until('it is asked again', () => refusals() > before, soonMs);
  simulator.setTokens([token]);
  // The next question comes within the minute that a hold may wait at the most.
  judgeLedger(t, await deliveredLedger(url, people, { withinMs: 3 * soonMs }));
  judge(t, simulator, people);
  for (const one of replicas) t.equal(await one.end('SIGTERM'), 0);
});

async function openStage(t: Test) {
  const simulator: Simulator = await startSimulator({ tokens: [token], limitPerMinute: 1800, latencyMs: 5 });
  t.teardown(() => simulator.close());
  const url = await server.newDatabase();
  const database = await openClock(t, url);
  const replica = (): Promise<ServiceProcess> =>
    startProcess(t, { ...secrets, DATABASE_URL: url, INTERCOM_API_URL: simulator.url });
  return { simulator, database, replica };
}

/** Functions that stand before PostgreSQL's own, for all sessions that begin from now on. */
async function openClock(t: Test, url: string) {
  const client = new Client(url);
  await client.connect();
  t.teardown(() => client.end());
  await client.query(`
    CREATE SCHEMA shifted;
    CREATE TABLE shifted.shift (by interval NOT NULL);
    INSERT INTO shifted.shift VALUES ('0');
    CREATE FUNCTION shifted.now() RETURNS timestamptz STABLE LANGUAGE sql
      AS 'SELECT pg_catalog.now() + by FROM shifted.shift';
    CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql
      AS 'SELECT pg_catalog.clock_timestamp() + by FROM shifted.shift';
    ALTER DATABASE ${new URL(url).pathname.slice(1)} SET search_path = shifted, pg_catalog, public`);
  return {
    async shift(ms: number): Promise<void> {
      await client.query("UPDATE shifted.shift SET by = $1::int * interval '1 ms'", [ms]);
    },
    /** As the service reads it, Unix ms. */
    async now(): Promise<number> {
      const { rows } = await client.query<{ now: string }>(
        'SELECT (extract(epoch FROM shifted.now()) * 1000)::bigint AS now',
      );
      return Number(rows[0]!.now);
    },
  };
}
