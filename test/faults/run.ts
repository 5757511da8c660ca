import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Test } from 'tap';
import { request } from 'undici';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { type Answer, type Service, startService, temporaryFolder, token, until } from '../service.ts';
import { type Evidence, judge } from './judge.ts';
import { arm, createPlan, type Plan } from './plan.ts';
import { createRandom } from './random.ts';
import { createWorkload, type Post, type Sent } from './workload.ts';

/** What the judge says of one seed. */
export type Verdict = { seed: number; objections: string[]; faults: number; acknowledged: number; ms: number };

type Answered = Pick<Answer, 'status' | 'text' | 'body'>;

const drainWithinMs = 300_000;
/** No retry of what a plan lets fail three times waits for longer. */
const quietMs = 15_000;
const triesEach = 200;

/** Where the events are kept, and how many processes take and deliver them. */
export type Stage = { env: Record<string, string>; replicas: number };

/** One workload under one fault plan, from an empty database to an empty queue, and before the judge. */
export async function runSeed(t: Test, seed: number, stage: Stage = { env: {}, replicas: 1 }): Promise<Verdict> {
  const startedAt = performance.now();
  const random = createRandom(seed);
  const workload = createWorkload(random);
  const plan = createPlan(random, seed);
  const folder = temporaryFolder(t);
  const open = (simulator?: Simulator): Promise<Service> =>
    startService(t, {
      databasePath: join(folder, 'queue.db'),
      env: { INGEST_WAIT_MS: '1000', ...stage.env },
      simulator: simulator ?? plan.simulator,
    });

  const first = await open();
  const { simulator } = first;
  const others = Array.from({ length: stage.replicas - 1 }, () => open(simulator));
  /** Each may be on its way to come back. */
  const services = [Promise.resolve(first), ...others];
  await Promise.all(services);
  let turn = 0;
  const anyone = (): Promise<Service> => services[(turn += 1) % services.length]!;
  const acknowledgedAtMs = new Map<string, number>();
  const troubles: string[] = [];
  await prepare(simulator, workload.existing);
  const before = simulator.calls.length;
  arm(simulator, plan, seed);

  async function send(post: Post): Promise<void> {
    const answer = await tryUntilAnswered(post);
    for (const [index, event] of post.events.entries()) {
      const told = answer.body.events?.[index];
      const isKept = told !== undefined && told.status !== 'rejected';
      if (!isKept) troubles.push(`n ${event.n} was answered ${answer.status}: ${answer.text.slice(0, 300)}`);
      else if (acknowledgedAtMs.has(event.messageId) && told.status !== 'duplicate')
        troubles.push(`doubled: n ${event.n} was sent again and told to be ${told.status}`);
      if (isKept && !acknowledgedAtMs.has(event.messageId)) acknowledgedAtMs.set(event.messageId, Date.now());
    }
  }

  /** As Signal does: what was not answered, or asked to come again, is sent again as it was. */
  async function tryUntilAnswered({ events, waits }: Post): Promise<Answered> {
    for (let tries = 1; ; tries += 1) {
      const { url } = await anyone();
      try {
        const answer = await postOnce(
          url,
          events.map(({ body }) => body),
          waits ? 'wait=1' : 'respond-async',
        );
        if (answer.status !== 429 && answer.status !== 503) return answer;
      } catch (error) {
        if (tries === triesEach) throw error;
      }
      await delay(10);
    }
  }

  async function restart(): Promise<void> {
    const which = (turn += 1) % services.length;
    services[which] = services[which]!.then(async (service) => {
      await service.stop();
      return open(simulator);
    });
    await services[which];
  }

  async function ledger(): Promise<Record<string, number>> {
    const { text } = await (await anyone()).get('/metrics');
    const rows = text.matchAll(/^signal_intercom_ledger_events\{state="(\w+)"\} (\d+)$/gm);
    const accepted = Number(/^signal_intercom_accepted_events_total (\d+)$/m.exec(text)?.[1]);
    return { accepted, ...Object.fromEntries([...rows].map(([, state, count]) => [state, Number(count)])) };
  }

  let isSent = false;
  const isDrained = async (): Promise<boolean> => isSent && (await ledger())['queued'] === 0;

  async function disturb({ restarts, revokedAt }: Plan): Promise<void> {
    const reached = (calls: number) =>
      until(`${calls} calls`, async () => simulator.calls.length - before >= calls || isDrained(), drainWithinMs);
    for (const calls of restarts) {
      await reached(calls);
      await restart();
    }
    if (revokedAt === undefined) return;
    await reached(revokedAt);
    simulator.setTokens(['another-token']);
    const revoked = simulator.calls.length;
    const isRefused = (): boolean => simulator.calls.slice(revoked).some(({ status }) => status === 401);
    await until('a call is refused', async () => isRefused() || isDrained(), drainWithinMs);
    simulator.setTokens([token]);
  }

  const disturbed = disturb(plan);
  await Promise.all(
    workload.streams.map(async (posts) => {
      for (const post of posts) await send(post);
    }),
  );
  isSent = true;
  await disturbed;
  const state = await drain(isDrained, plan, simulator);
  if (state !== undefined) troubles.push(state);

  const told = await askAgain(await anyone(), workload.events);
  const calls = simulator.calls.slice(before);
  const evidence: Evidence = {
    simulator,
    calls,
    events: workload.events,
    acknowledgedAtMs,
    told,
    ledger: await ledger(),
    faults: calls.filter(({ fault }) => fault !== undefined).length,
    troubles,
  };
  const objections = judge(evidence);
  for (const service of services) await (await service).stop();
  await simulator.close();
  return {
    seed,
    objections,
    faults: evidence.faults,
    acknowledged: acknowledgedAtMs.size,
    ms: performance.now() - startedAt,
  };
}

/** On a connection of its own, which ends with it: a stop of the service then waits for nothing of the sender's. */
async function postOnce(url: string, events: object[], prefer: string): Promise<Answered> {
  const headers = { 'content-type': 'application/json', prefer };
  const { statusCode, body } = await request(`${url}/ingest`, {
    method: 'POST',
    headers,
    body: JSON.stringify(events),
    reset: true,
  });
  const text = await body.text();
  return { status: statusCode, text, body: JSON.parse(text) };
}

/** Events of a lead whose creation ended unknown wait for minutes: the judge says whether they may. */
async function drain(
  isDrained: () => Promise<boolean>,
  { losesLeads }: Plan,
  { calls }: Simulator,
): Promise<string | undefined> {
  const isQuiet = (): boolean => losesLeads && Date.now() - (calls.at(-1)?.at ?? 0) > quietMs;
  try {
    await until('the queue is empty', async () => isQuiet() || isDrained(), drainWithinMs);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/** A repeat is answered with the first one's state. */
async function askAgain(service: Service, events: Sent[]): Promise<Evidence['told']> {
  const { body } = await service.post(
    events.map((event) => event.body),
    { prefer: 'respond-async' },
  );
  return new Map(
    body.events.map(({ original }, index) => [
      events[index]!.messageId,
      original ? { status: original.status, reason: original.reason } : { status: 'unknown', reason: undefined },
    ]),
  );
}

/** Users that Intercom has from elsewhere. */
async function prepare(simulator: Simulator, existing: { userId: string; archived: boolean }[]): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json', 'content-type': 'application/json' };
  for (const { userId, archived } of existing) {
    const body = JSON.stringify({ role: 'user', external_id: userId, name: 'Of old' });
    await (await request(`${simulator.url}/contacts`, { method: 'POST', headers, body })).body.dump();
    const id = simulator.contact(userId)?.id;
    if (!archived) continue;
    await (
      await request(`${simulator.url}/contacts/${id}/archive`, { method: 'POST', headers, body: '{}' })
    ).body.dump();
  }
}
