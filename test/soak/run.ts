import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fault, type Simulator, startSimulator } from '../../src/simulator/simulator.ts';
import { ledgerOf, totalOf } from '../crash/people.ts';
import { createRandom } from '../faults/random.ts';
import { type ServiceProcess, startProcess } from '../process.ts';
import { token, until } from '../service.ts';
import { type Flatness, judgeDelivery, judgeFlatness, type Sample } from './judge.ts';
import { startSenders, type Totals } from './senders.ts';

export type SoakOptions = {
  minutes: number;
  seed: number;
  eventsPerSecond: number;
  /** Of the service, beside what the run needs. */
  env?: Record<string, string>;
  onSample?(sample: Sample, part: number): void;
};

/** What was seen; `simulator` is closed, and can still be asked. */
export type Outcome = {
  samples: Sample[];
  flatness: Flatness[];
  objections: string[];
  totals: Totals;
  restarts: { killed: number; stopped: number };
  faults: number;
  evidence: Parameters<typeof judgeDelivery>[0];
};

const restartsAtStart = 4;
const databaseName = 'queue.db';
const lastEventsWithinMs = 180_000;
const armedMs = 300;

/**
 * The built service under a steady load for so many minutes, with an Intercom that fails now and then. It is restarted
 * in the first quarter and in the end; between, one process is watched.
 */
export async function soak(options: SoakOptions): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-soak-'));
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const scope = { teardown: (end: () => unknown) => void ends.unshift(end) };
  try {
    return await run(scope, folder, options);
  } finally {
    for (const end of ends) await end();
  }
}

type Scope = { teardown(end: () => unknown): void };

async function run(scope: Scope, folder: string, options: SoakOptions): Promise<Outcome> {
  const totalMs = options.minutes * 60_000;
  const simulator = await startSimulator({ tokens: [token], limitPerMinute: 600_000, latencyMs: 5, keepCalls: 1000 });
  scope.teardown(() => simulator.close());
  const retentionDays = String(totalMs / 20 / 86_400_000);
  const env = {
    DATABASE_URL: `file:${join(folder, databaseName)}`,
    INTERCOM_API_URL: simulator.url,
    RETENTION_DAYS: retentionDays,
    DEAD_LETTER_DAYS: retentionDays,
    CREATE_ATTRIBUTES: 'true',
    INTERCOM_CONCURRENCY: '16', // as many connections, so that a few descriptors more are seen
    ...options.env,
  };
  const restarts = { killed: 0, stopped: 0 };
  let service = await start();
  const stop = new AbortController();
  const senders = startSenders({ ...options, url: () => service.url, stop: stop.signal });
  const refused = new Set<string>();
  const faults = injectFaults(simulator, options.seed, refused, stop.signal);
  // Whatever fails here is told by what is awaited in the end.
  senders.done.catch(() => stop.abort());

  async function start(): Promise<ServiceProcess> {
    const made = await startProcess(scope, env, 'dist/server.js');
    made.child.stdout?.removeAllListeners('data').resume(); // an hour of log lines is not to be kept
    return made;
  }

  async function restart(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const end = await service.end(signal);
    if (end !== (signal === 'SIGKILL' ? 'SIGKILL' : 0)) throw new Error(`the service ended with ${end}`);
    restarts[signal === 'SIGKILL' ? 'killed' : 'stopped'] += 1;
    service = await start();
  }

  for (let n = 0; n < restartsAtStart; n += 1) {
    await delay(totalMs / 4 / restartsAtStart);
    await restart(n % 2 === 0 ? 'SIGKILL' : 'SIGTERM');
  }
  const samples: Sample[] = [];
  const watchedMs = (totalMs * 3) / 4;
  const startedAt = performance.now();
  for (let atMs = 0; atMs < watchedMs && !stop.signal.aborted; atMs = performance.now() - startedAt) {
    const queued = totalOf(await ledgerOf(service.url), 'queued');
    const { accepted } = senders.totals;
    const sample = { ...look(service.child.pid!, folder), atMs, accepted, queued };
    samples.push(sample);
    options.onSample?.(sample, atMs / watchedMs);
    await delay(Math.max(250, watchedMs / 400));
  }
  await restart('SIGKILL');
  stop.abort();
  await senders.done;
  await faults.done;
  simulator.clearFaults();
  await restart('SIGTERM');
  const isDone = async (): Promise<string | null> => {
    const text = await ledgerOf(service.url);
    return totalOf(text, 'queued') === 0 ? text : null;
  };
  const ledger = await until('the queue is empty', isDone, lastEventsWithinMs);
  const { people, totals } = senders;
  const evidence = { people, simulator, refused, accepted: totals.accepted, ledger };
  await service.end('SIGTERM');
  return {
    samples,
    flatness: judgeFlatness(samples),
    objections: judgeDelivery(evidence),
    totals,
    restarts,
    faults: faults.count(),
    evidence,
  };
}

function look(pid: number, folder: string): Omit<Sample, 'atMs' | 'accepted' | 'queued'> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  return {
    memoryMb: Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1000,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    dataMb: dataMb(join(folder, databaseName)),
    filesMb: bytes / 1e6,
  };
}

function dataMb(path: string): number {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const read = (name: string): number => Number(db.prepare(`SELECT * FROM pragma_${name}()`).get()?.[name]);
    return ((read('page_count') - read('freelist_count')) * read('page_size')) / 1e6;
  } finally {
    db.close();
  }
}

/** Something goes wrong every few seconds; now and then it is an outage. A 429 costs the rest of its window, and so is rare. */
function injectFaults(simulator: Simulator, seed: number, refused: Set<string>, stop: AbortSignal) {
  const random = createRandom(seed + 1000);
  let injected = 0;
  const refusal = { type: 'error.list', errors: [{ code: 'parameter_invalid', message: 'refused' }] };
  const draw = (): Fault => {
    if (random.chance(0.03)) return { kind: 'rate_limited' };
    return random.pick<Fault>([
      { kind: 'status', status: 500, times: 1 + random.below(3) },
      { kind: 'status', status: 503, times: random.chance(0.1) ? 12 : 1 },
      { kind: 'html', status: 502 },
      { kind: 'reset_before' },
      { kind: 'reset_after' },
      { kind: 'slow', ms: 2000, times: 5 },
      {
        kind: 'status',
        status: 422,
        body: refusal,
        endpoint: 'POST /events',
        when({ requestBody }) {
          const { metadata } = requestBody as { metadata?: { n?: number; who?: string } };
          if (metadata?.n === undefined) return false;
          refused.add(`${metadata.who}-${metadata.n}`);
          return true;
        },
      },
    ]);
  };
  const go = async (): Promise<void> => {
    while (!stop.aborted) {
      simulator.inject(draw());
      injected += 1;
      await delay(armedMs);
      simulator.clearFaults(); // else the probes of a hold meet one fault after the other, and it never ends
      await delay(1000 + random.below(2000));
    }
  };
  return { count: () => injected, done: go() };
}
