import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { request } from 'undici';
import { startSimulator } from '../src/simulator/simulator.ts';
import { conflictFor, names, waitForFifthAttempt } from './clock/conflicts.ts';
import { deliveredLedger, judge, judgeLedger, ledgerOf, loadSome, type Person, totalOf, user } from './crash/people.ts';
import { startPostgres } from './postgres.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const hourMs = 3_600_000;
/** What a busy machine may need to empty the queue; far from the hour that nobody may wait. */
const soonMs = 60_000;
const adminToken = 'an-admin-token-of-tests';
const secrets = { ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'), ADMIN_TOKEN: adminToken };

const server = await startPostgres();
t.teardown(() => server.close());
t.jobs = 2;

for (const engine of ['SQLite', 'PostgreSQL'])
  for (const [jump, shiftMs] of [
    ['forwards', hourMs],
    ['back', -hourMs],
  ] as const)
    t.test(`${engine}: the clock jumps ${jump} by an hour, and nobody waits for it`, async (t) => {
      const simulator = await startSimulator({ tokens: [token], limitPerMinute: 1800, latencyMs: 5 });
      t.teardown(() => simulator.close());
      const clock = openClock(t);
      const service = await startProcess(t, {
        ...secrets,
        ...clock.env,
        DATABASE_URL: engine === 'SQLite' ? `file:${join(temporaryFolder(t), 'queue.db')}` : await server.newDatabase(),
        INTERCOM_API_URL: simulator.url,
      });
      const post = async (events: object[]): Promise<boolean> =>
        (await tryPost(service.url, events, { prefer: 'respond-async' }))?.status === 202;
      const quick = Array.from({ length: 30 }, (_, n) => user(`quick-${n}`));
      const refused = Array.from({ length: 8 }, (_, n) => user(`refused-${n}`));
      const everybody = [...quick, ...refused];
      conflictFor(simulator, 'refused-');
      const sent = (people: Person[], count: number) =>
        Promise.all(people.map((person) => loadSome(person, post, count)));

      await sent(refused, 2);
      await waitForFifthAttempt(simulator, refused);
      await sent(quick, 7);
      simulator.inject({ kind: 'rate_limited', when: ({ requestBody }) => !names(requestBody, 'refused-') });
      await until('the quota is waited for', () => simulator.calls.some(({ fault }) => fault === 'rate_limited'));
      const before = await ledgerOf(service.url);
      t.ok(peopleIn(before, 'waiting_for_retry') >= 4, 'some wait for a retry when the clock jumps');
      t.ok(totalOf(before, 'queued') > 100, 'and many for the quota');

      clock.shift(shiftMs);
      simulator.clearFaults();
      await sent(everybody, 2);
      const startedAt = performance.now();
      const ledger = await deliveredLedger(service.url, everybody, { withinMs: soonMs });
      t.comment(`all was delivered ${Math.round(performance.now() - startedAt)} ms after the jump`);
      judge(t, simulator, everybody);
      judgeLedger(t, ledger);
      const first = quick[0]!;
      const again = await tryPost(
        service.url,
        [0, first.next - 1].map((n) => ({
          type: 'track',
          event: 'Clicked',
          userId: first.id,
          messageId: `${first.id}-${n}`,
        })),
      );
      t.match(again, { status: 200, body: { events: [{ status: 'duplicate' }, { status: 'duplicate' }] } });

      const receivedAt = await newestReceivedAt(service.url);
      const offMs = Date.parse(receivedAt) - Date.now() - shiftMs;
      t.ok(Math.abs(offMs) < 2 * soonMs, `control: the clock of the service did jump (${receivedAt})`);
      t.equal(await service.end('SIGTERM'), 0);
    });

function openClock(t: Test) {
  const file = join(temporaryFolder(t), 'shift');
  const module = pathToFileURL(join(import.meta.dirname, 'clock/shifted.ts')).href;
  const shift = (ms: number): void => {
    writeFileSync(`${file}.new`, String(ms)); // never half of it
    renameSync(`${file}.new`, file);
  };
  shift(0);
  return { env: { CLOCK_SHIFT_FILE: file, NODE_OPTIONS: `--import ${module}` }, shift };
}

function peopleIn(metrics: string, state: string): number {
  return Number(new RegExp(`signal_intercom_people\\{state="${state}"\\} (\\d+)`).exec(metrics)?.[1]);
}

async function newestReceivedAt(url: string): Promise<string> {
  const answer = await request(`${url}/events?limit=1`, { headers: { authorization: `Bearer ${adminToken}` } });
  const { data } = (await answer.body.json()) as { data: { receivedAt: string }[] };
  return data[0]!.receivedAt;
}
