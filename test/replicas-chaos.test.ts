import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Simulator, startSimulator } from '../src/simulator/simulator.ts';
import { startPair } from './crash/pair.ts';
import {
  acknowledgedOf,
  arrivedOf,
  judge,
  judgeLedger,
  judgeWaiting,
  lead,
  ledgerOf,
  load,
  type Person,
  totalOf,
  user,
} from './crash/people.ts';
import { createRandom } from './faults/random.ts';
import { type ServiceProcess, startProcess, tryPost } from './process.ts';
import { token, until } from './service.ts';

const rounds = Number(process.env.CHAOS_ROUNDS ?? 5);
const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000);

const blows = ['kill', 'freeze', 'database', 'deploy'] as const;
type Blow = (typeof blows)[number] | 'promotion';

/** A sender asks elsewhere when it has no answer by then. */
const answerWithinMs = 3000;
/** Of each sender, so that three replicas, two databases and Intercom share a small machine. */
const pauseMs = 100;

t.test(`three replicas keep every promise through ${rounds} blows (CHAOS_SEED=${seed})`, async (t) => {
  const random = createRandom(seed);
  const simulator = await startSimulator({ tokens: [token], limitPerMinute: 6_000_000, latencyMs: 2, indexLagMs: 0 });
  t.teardown(() => simulator.close());
  const pair = await startPair(t);
  const replicas = await openReplicas(t, {
    DATABASE_URL: pair.url,
    DATABASE_CONNECTIONS: '4',
    ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
    ADMIN_TOKEN: 'an-admin-token-of-tests',
    INTERCOM_API_URL: simulator.url,
    LOG_LEVEL: 'info',
  });
  const known = [...count(10, (n) => user(`u-${n}`)), ...count(3, (n) => lead(`lead-${n}`))];
  /** Who comes while things break: a lead's creation that was cut short waits minutes for the search index. */
  const newUsers: Person[] = [];
  const newLeads: Person[] = [];
  const stop = new AbortController();
  const loads = known.map((person) => load(person, replicas.post, stop.signal));
  await until('everybody is known', () => known.every((person) => arrivedOf(simulator, person).length > 0), 120_000);

  const struck: { round: number; blow: Blow; atMs: number; people: Person[] }[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    const blow = round === rounds ? 'promotion' : random.pick(blows);
    const victim = random.below(replicas.size);
    const frozenMs = 6000 + random.below(2000);
    newUsers.push(user(`new-${round}`));
    newLeads.push(lead(`new-lead-${round}`));
    const everybody = (): Person[] => [...known, ...newUsers, ...newLeads];
    // Counted in acknowledgements, not in time: a slow machine is struck just as deep in its work.
    const enough = async (): Promise<void> => {
      const target = acknowledgedOf(everybody()) + 1 + random.below(80);
      await until('enough was acknowledged', () => acknowledgedOf(everybody()) >= target, 120_000);
    };
    await enough();
    for (const person of [newUsers.at(-1)!, newLeads.at(-1)!]) loads.push(load(person, replicas.post, stop.signal));
    await delay(random.below(20)); // into the middle of their creation, or so
    struck.push({ round, blow, atMs: Date.now(), people: [...known, ...newUsers.slice(0, -1)] });
    if (blow === 'kill') t.equal(await replicas.replace(victim, 'SIGKILL'), 'SIGKILL');
    else if (blow === 'deploy')
      t.equal(await replicas.replace(victim, 'SIGTERM'), 0, 'a replica that is told to end ends well');
    else if (blow === 'freeze') await replicas.freeze(victim, frozenMs);
    else if (blow === 'database') await pair.restart();
    else await pair.promote();
    await enough();
  }
  stop.abort();
  await Promise.all(loads);

  const sure = [...known, ...newUsers];
  const isThere = (person: Person): boolean => arrivedOf(simulator, person).length >= person.acknowledged.length;
  await until('everything of whom is known has arrived', () => sure.every(isThere), 120_000);
  const ledger = await until('the last of it is settled', async () => {
    const text = await ledgerOf(replicas.any());
    const waiting = newLeads.filter((person) => !isThere(person));
    return totalOf(text, 'queued') <= acknowledgedOf(waiting) ? text : null;
  });
  judgeLedger(t, ledger);
  t.equal(totalOf(ledger, 'accepted'), acknowledgedOf([...sure, ...newLeads]), 'accepted is what was acknowledged');
  judge(t, simulator, sure);
  judgeWaiting(
    t,
    simulator,
    known.concat(newLeads).filter(({ identity }) => identity.userId === undefined),
  );
  for (const { round, blow, atMs, people } of struck)
    t.comment(
      `round ${round}, ${blow}: the last to go on did so after ${Math.max(...people.map((person) => pauseOf(simulator, person, atMs)))} ms`,
    );
  t.comment(`${acknowledgedOf([...sure, ...newLeads])} events were acknowledged`);
  await replicas.close(t);
});

type Replicas = {
  size: number;
  /** The address of one of them, in turn. */
  any(): string;
  /** Sends to one after the other until one of them has acknowledged it. */
  post(events: object[]): Promise<boolean>;
  /** Ends one, with another in its place; how it ended. */
  replace(index: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | string | null>;
  /** Stops one as a stalled machine does, for longer than its leases last. */
  freeze(index: number, ms: number): Promise<void>;
  close(t: Test): Promise<void>;
};

async function openReplicas(t: Test, env: Record<string, string>): Promise<Replicas> {
  const replicas = await Promise.all(count(3, () => startProcess(t, env)));
  const all: ServiceProcess[] = [...replicas];
  let turn = 0;
  const any = (): string => replicas[(turn += 1) % replicas.length]!.url;
  return {
    size: replicas.length,
    any,
    async post(events) {
      for (;;) {
        const answer = await tryPost(any(), events, { prefer: 'respond-async' }, answerWithinMs);
        await delay(pauseMs);
        if (answer?.status === 200 || answer?.status === 202) return true;
        if (answer && answer.status < 500) throw new Error(`answered ${answer.status}: ${JSON.stringify(answer.body)}`);
      }
    },
    async replace(index, signal) {
      const old = replicas[index]!;
      const killed = signal === 'SIGKILL' ? old.end(signal) : undefined;
      const next = await startProcess(t, env);
      all.push(next);
      replicas[index] = next;
      const end = await (killed ?? old.end(signal));
      if (end !== 0 && end !== signal) tellLastLines(t, old);
      return end;
    },
    async freeze(index, ms) {
      const { child } = replicas[index]!;
      child.kill('SIGSTOP');
      await delay(ms);
      child.kill('SIGCONT');
    },
    async close(t) {
      const ends = await Promise.all(replicas.map((replica) => replica.end('SIGTERM')));
      for (const [index, end] of ends.entries()) if (end !== 0) tellLastLines(t, replicas[index]!);
      t.strictSame(ends, [0, 0, 0], 'all end well');
      const bad = all.flatMap((replica) => replica.output().split('\n').filter(isFatal));
      t.strictSame(bad, [], 'no replica met an error that it had no answer to');
    },
  };
}

function tellLastLines(t: Test, { output }: ServiceProcess): void {
  t.comment(`its last lines:\n${output().split('\n').slice(-30).join('\n')}`);
}

function isFatal(line: string): boolean {
  return /"level":"fatal"|uncaught|unhandled|service\.failed|^\s+at /i.test(line);
}

/** From a moment to the person's next event on the timeline; 0 where none came after it. */
function pauseOf(simulator: Simulator, { id, identity }: Person, fromMs: number): number {
  const contacts = identity.userId === undefined ? [] : simulator.timeline(id);
  const next = contacts.find(({ receivedAt }) => receivedAt > fromMs);
  return next ? next.receivedAt - fromMs : 0;
}

function count<T>(n: number, make: (n: number) => T): T[] {
  return Array.from({ length: n }, (_, index) => make(index));
}
