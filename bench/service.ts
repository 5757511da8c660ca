import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { request } from 'undici';
import { backlogEvents, inBatches } from './events.ts';
import { closedLoop } from './load.ts';
import { freePort } from '../test/free-port.ts';
import { type Child, type Stage, until } from './processes.ts';
import type { IntercomSimulator } from './simulator.ts';

/** The built service as a process of its own. */
export type Service = {
  url: string;
  child: Child;
  /** accepted, delivered, filtered, dead and queued, as /metrics counts them. */
  ledger(): Promise<Ledger>;
  memory(): Memory | undefined;
};

export type Ledger = Record<'accepted' | 'delivered' | 'filtered' | 'dead' | 'queued', number>;
export type Memory = { nowMb: number; peakMb: number };

export type ServiceOptions = {
  simulator: IntercomSimulator;
  /** Where the database lies; a new folder if absent. */
  folder?: string;
  /** A PostgreSQL database instead, which others may share. */
  database?: string;
  /** The path that has to answer 200 before it counts as started. */
  ready?: '/readyz' | '/readyz?only=store' | '/healthz';
};

export const adminToken = 'bench-admin-token';

/** As the image has them; others instead, for instance --cpu-prof, or further variables: see docs/benchmarks.md. */
const imageFlags = '--v8-pool-size=1 --max-semi-space-size=16 --max-old-space-size=512';
const imageEnv = { MALLOC_ARENA_MAX: '2' };
const otherEnv = Object.fromEntries(
  (process.env.BENCH_ENV ?? '')
    .split(' ')
    .filter(Boolean)
    .map((pair) => pair.split('=')),
);
const nodeFlags = (process.env.BENCH_NODE_FLAGS ?? imageFlags).split(' ').filter((flag) => flag !== '');

export async function startService(stage: Stage, options: ServiceOptions): Promise<Service> {
  const { simulator, ready = '/readyz' } = options;
  const database = options.database ?? `file:${join(options.folder ?? stage.folder(), 'queue.db')}`;
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = {
    INTERCOM_ACCESS_TOKEN: simulator.token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: database,
    ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
    PORT: String(port),
    ADMIN_TOKEN: adminToken,
    LOG_LEVEL: 'warn',
    ...imageEnv,
    ...otherEnv,
  };
  const child = stage.start('dist/server.js', env, nodeFlags);
  await until(`the service answers ${ready}`, child, () => answers(url + ready));
  return {
    url,
    child,
    // While the store is too busy to be asked, it is that of before.
    ledger: () =>
      until('the ledger is told', child, async () => readLedger(await (await request(`${url}/metrics`)).body.text())),
    memory: () => readMemory(child.pid),
  };
}

const batchSize = 1000;

/** Queues events of so many users at a service that is held, and sees that they are kept. One call each. */
export async function queueEvents(
  service: Service,
  { events, users }: { events: number; users: number },
): Promise<void> {
  const body = inBatches(backlogEvents({ users }), batchSize);
  const { statuses } = await closedLoop({ url: service.url, connections: 4, body, requests: events / batchSize });
  const { accepted, queued } = await service.ledger();
  if (statuses.get(202) !== events / batchSize || accepted !== events || queued === 0) {
    throw new Error(
      `${events} events should be kept: ${accepted} are, ${queued} of them queued; statuses ${[...statuses].join(' ')}`,
    );
  }
}

export async function answers(url: string): Promise<true | undefined> {
  try {
    const { statusCode, body } = await request(url);
    await body.dump();
    return statusCode === 200 ? true : undefined;
  } catch {
    return undefined; // it does not listen yet
  }
}

function readLedger(text: string): Ledger | undefined {
  const read = (what: string): number =>
    Number(new RegExp(`^signal_intercom_${what} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  const of = (state: string): number => read(`ledger_events\\{state="${state}"\\}`);
  const ledger = {
    accepted: read('accepted_events_total'),
    delivered: of('delivered'),
    filtered: of('filtered'),
    dead: of('dead'),
    queued: of('queued'),
  };
  const isTold = read('store_available') === 1 && !Object.values(ledger).some(Number.isNaN);
  return isTold ? ledger : undefined;
}

/** Resident memory, as Linux tells it; elsewhere unknown. */
function readMemory(pid: number): Memory | undefined {
  if (process.platform !== 'linux') return undefined;
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024;
  return { nowMb: mb('VmRSS'), peakMb: mb('VmHWM') };
}
