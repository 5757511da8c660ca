import { randomInt } from 'node:crypto';
import { type NewEvent, type Queue, QueueUnavailable, type Receipt } from '../queue.ts';
import { acceptEvents } from './arrivals.ts';
import { createCauses } from './causes.ts';
import { createClock } from './clock.ts';
import { openDatabase, Rollback } from './database.ts';
import { createErasures } from './erasures.ts';
import { createGroups } from './groups.ts';
import { createHistory, type Retention } from './history.ts';
import { createInstallations } from './installations.ts';
import { laneState, nowMs } from './lanes.ts';
import { createLeases, leaseMs } from './leases.ts';
import { createSearch } from './search.ts';
import { createStats } from './stats.ts';
import { totals } from './totals.ts';
import { createSharedTurns } from './turns.ts';
import { own } from './whose.ts';
import { createViewer } from './viewer.ts';

/** The engine that any number of replicas share; docs/decisions/0010-postgres.md tells how. */
export type PostgresOptions = {
  url: string;
  /** At the same time, of this replica. */
  connections: number;
  /** Keep events of visitors without userId and email until a login. */
  holdAnonymous?: boolean;
  retention?: Partial<Retention>;
  /** Told when the database can't store, and when it can again. */
  onHealth?: (health: ReturnType<Queue['health']>) => void;
  /** Told that the database's clock was set back, and that nobody waits for it, ms. */
  onClockSetBack?: (ms: number) => void;
  /** How long a lease lasts that nobody renews, ms. */
  leaseMs?: number;
};

const dayMs = 86_400_000;
const defaultRetention: Retention = { settledMs: 7 * dayMs, deadMs: 30 * dayMs, heldMs: dayMs };
/** A sender is answered within two seconds, whatever the database does. */
const enqueueMs = 1700;
/** What Intercom has done is written down as long as it takes; each try of it, this long. */
const settleMs = 8000;
const groupEvents = 1024;
/** Beyond this the sender is told to come back: what waits in memory is bounded. */
const maxWaitingBytes = 32_000_000;
const maxWaitingEvents = 10_000;
const pollMs = 50;
const lookMs = 500;
const tidyMs = 1000;
const slots = 32;

/** On a database whose schema is up to date (migrate.ts). */
export async function openPostgresQueue(options: PostgresOptions): Promise<Queue> {
  const db = openDatabase(options.url, { connections: options.connections });
  const devices = options.holdAnonymous ?? false;
  const slot = randomInt(slots) * 4;
  let wake = (_installation: string | null): void => {};
  let health: ReturnType<Queue['health']> = { ok: true };
  let depths = new Map<string, number>();
  let waitingBytes = 0;
  let waitingEvents = 0;
  let closing: Promise<void> | undefined;
  /** Those somebody leases of. */
  const leasing = new Set<string>();

  const arrivals = createGroups<NewEvent[], Receipt[]>({
    weightAtMost: groupEvents,
    limitMs: enqueueMs,
    async run(batches) {
      const { receipts } = await guarded(() =>
        db.transaction((tx) => acceptEvents(tx, batches.flat(), { devices, slot }), {
          limitMs: enqueueMs,
          prepared: true,
        }),
      );
      let from = 0;
      const each = batches.map(({ length }) => receipts.slice(from, (from += length)));
      for (const installation of new Set(batches.flat().map((event) => event.installation))) wake(installation);
      return each;
    },
  });
  const history = createHistory({ db, slot: slot + 2, retention: { ...defaultRetention, ...options.retention } });
  const erasures = createErasures({ db, slot: slot + 2 });
  const durationMs = options.leaseMs ?? leaseMs;
  const leases = createLeases({
    db,
    slot: slot + 1,
    limitMs: settleMs,
    leaseMs: durationMs,
    onReleased: (people) => {
      for (const installation of new Set(people.map((person) => person.slice(0, person.indexOf('/')))))
        wake(installation);
    },
  });
  const turns = createSharedTurns(db);
  const clock = createClock(db, durationMs);
  const viewer = createViewer(db);

  function setHealth(next: typeof health): void {
    const isSame = next.ok === health.ok && reasonOf(next) === reasonOf(health);
    health = next;
    if (isSame) return;
    options.onHealth?.(next);
    if (next.ok) wake(null);
  }

  async function noticing<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof QueueUnavailable && !closing) setHealth({ ok: false, reason: error.message });
      throw error;
    }
  }

  /** A write that goes through is the only proof that the next one will. */
  function guarded<T>(write: () => Promise<T>): Promise<T> {
    return noticing(async () => {
      const value = await write();
      setHealth({ ok: true });
      return value;
    });
  }

  async function poll(): Promise<void> {
    const rows = await db.prepared<{ installation: string; due_at: number | null; now: number }>(
      `SELECT i AS installation, ${nowMs} AS now, (SELECT min(due_at) FROM lane
         WHERE installation = i AND state = ${laneState.free} AND queued > 0 AND blockers = 0) AS due_at
       FROM unnest($1::text[]) AS i`,
      [[...leasing]],
    );
    for (const { installation, due_at, now } of rows) if (due_at !== null && due_at <= now) wake(installation);
  }

  async function look(): Promise<void> {
    if (!health.ok) await guarded(probe);
    const counted = await noticing(() => totals(db));
    depths = new Map(
      [...counted].flatMap(([name, n]) => (name.startsWith('queued/') ? [[name.slice('queued/'.length), n]] : [])),
    );
    const setBackMs = await noticing(clock.look);
    if (setBackMs > 0) options.onClockSetBack?.(setBackMs);
    while (await leases.takeOver());
  }

  async function probe(): Promise<void> {
    await db.transaction(
      (tx) =>
        tx.query("INSERT INTO total AS t VALUES ('probe', $1, 0) ON CONFLICT (name, slot) DO UPDATE SET n = t.n", [
          slot + 3,
        ]),
      { limitMs: enqueueMs },
    );
  }

  async function tidy(): Promise<void> {
    while ((await erasures.tidy()) || (await history.tidy())) if (closing) return;
  }

  const rounds = [every(pollMs, poll), every(lookMs, look), every(tidyMs, tidy)];

  async function shutDown(): Promise<void> {
    await Promise.all(rounds.map((round) => round.stop()));
    await arrivals.flushed();
    await leases.close().catch(() => {}); // they run out by themselves
    await db.close();
  }

  const ask = <T>(work: () => Promise<T>): Promise<T> =>
    closing ? Promise.reject(new QueueUnavailable('cannot_store', 'the service is shutting down')) : work();

  return {
    enqueue(events) {
      const bytes = events.reduce((sum, event) => sum + event.payload.length, 0);
      if (waitingBytes + bytes > maxWaitingBytes || waitingEvents + events.length > maxWaitingEvents)
        return Promise.reject(new QueueUnavailable('overloaded', 'more events arrive than the database can take'));
      if (!health.ok) return Promise.reject(new QueueUnavailable('cannot_store', health.reason));
      waitingBytes += bytes;
      waitingEvents += events.length;
      return ask(() => arrivals.add(events, events.length)).finally(() => {
        waitingBytes -= bytes;
        waitingEvents -= events.length;
      });
    },
    preview: (events) =>
      db.transaction(async (tx) => {
        const uncommitted = { ...tx, commit: () => {} };
        const { receipts, people, queued } = await acceptEvents(uncommitted, events, { devices, slot: slot + 3 });
        const persons = [...new Set(people)];
        const views = await viewer.views(tx, persons);
        throw new Rollback({
          receipts,
          people: people.map(own),
          views: views.map((view, index) => ({ ...view, queued: view.queued - (queued.get(persons[index]!) ?? 0) })),
        });
      }),
    lease(limits) {
      leasing.add(limits.installation);
      return ask(() => leases.lease(limits));
    },
    standing: (lease) => leases.standing(lease),
    settle: (lease, progress) => guarded(() => leases.settle(lease, progress)),
    release: (lease, retry) => guarded(() => leases.release(lease, retry)),
    async redrive(ids) {
      const n = await guarded(() => history.redrive(ids));
      if (n > 0) wake(null);
      return n;
    },
    async erase(installation, key) {
      await arrivals.flushed(); // what was handed over before is erased with the rest
      return guarded(() => erasures.erase(installation, key));
    },
    erasure: (id) => erasures.erasure(id),
    person: (installation, key) => viewer.person(installation, key),
    onDue(listener) {
      wake = listener;
    },
    async record(installation, key) {
      const [row] = await db.query<{ record: string }>('SELECT record FROM contact WHERE person = $1', [
        `${installation}/${key}`,
      ]);
      return row?.record ?? null;
    },
    turn: (installation, key) => turns(`${installation}/${key}`),
    ...createSearch(db),
    ...createCauses(db),
    stats: createStats(db),
    health: () => health,
    depth(installation) {
      if (installation !== undefined) return depths.get(installation) ?? 0;
      return [...depths.values()].reduce((sum, queued) => sum + queued, 0);
    },
    ...createInstallations({ db, slot: slot + 2 }),
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}

/** Again and again, one at a time; what the database can't do now is tried the next time. */
function every(ms: number, work: () => Promise<void>): { stop(): Promise<void> } {
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  async function round(): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof QueueUnavailable) && !isStopped) throw error;
    }
    if (!isStopped) schedule();
  }
  function schedule(): void {
    timer = setTimeout(() => {
      running = round();
    }, ms);
  }
  schedule();
  return {
    async stop() {
      isStopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

const reasonOf = (health: ReturnType<Queue['health']>): string => (health.ok ? '' : health.reason);
