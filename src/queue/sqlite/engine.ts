import { randomUUID } from 'node:crypto';
import type { StoreOptions } from './store.ts';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Queue, QueueUnavailable, type Standing } from '../queue.ts';
import { createTurns } from '../turns.ts';
import type { Salvage } from './salvage.ts';
import { createGroups } from './groups.ts';
import { createLooks } from './looks.ts';
import { packEvents } from './event-columns.ts';
import {
  isWrite,
  type Op,
  type Reply,
  type Request,
  type Result,
  type Results,
  type WorkerOptions,
} from './protocol.ts';

/** The embedded engine, seen from the event loop: a thread of its own writes, what arrives meanwhile being gathered. */
export type SqliteOptions = {
  path: string;
  /** Keep events of visitors without userId and email until a login. */
  holdAnonymous?: boolean;
  retention?: Partial<StoreOptions['retention']>;
  /** Told when the writer thread broke and when it works again. */
  onHealth?: (health: ReturnType<Queue['health']>) => void;
  /** Told when the file was damaged, and what of it was carried over into a new one. */
  onSalvage?: (salvage: Salvage) => void;
};

const reopenAfterMs = 1000;
const dayMs = 86_400_000;
const defaultRetention = { settledMs: 7 * dayMs, deadMs: 30 * dayMs, heldMs: dayMs };

export async function openSqliteQueue(options: SqliteOptions): Promise<Queue> {
  let worker: Worker | undefined;
  let closing: Promise<void> | undefined;
  let wake = (_installation: string | null): void => {};
  let dueTimer: NodeJS.Timeout | undefined;
  let reopenTimer: NodeJS.Timeout | undefined;
  let probeTimer: NodeJS.Timeout | undefined;
  let depths = new Map<string, number>();
  let health: ReturnType<Queue['health']> = { ok: false, reason: 'the database is being opened' };
  /** Leases of a thread that broke are void; the tokens of two threads may be alike. */
  let generation = 0;
  let isSuspect = false;
  /** Of the leases of this thread, by their own token. */
  let standings = new Map<string, Standing>();
  const turns = createTurns();
  const groups = createGroups((ops) => worker?.postMessage({ kind: 'batch', ops } satisfies Request));

  async function start(): Promise<void> {
    generation += 1;
    standings = new Map();
    const workerData: WorkerOptions = {
      path: options.path,
      isSuspect,
      holdAnonymous: options.holdAnonymous ?? false,
      retention: { ...defaultRetention, ...options.retention },
    };
    // The same file compiled and not: the thread is started from what stands beside this module.
    const made = new Worker(new URL(`./worker${extname(import.meta.filename)}`, import.meta.url), {
      workerData,
      // By default V8 lets the young generation of a thread grow beyond 100 MB, which buys this one nothing.
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    await new Promise<void>((resolve, reject) => {
      made.once('error', reject);
      made.once('message', (message: Reply) => {
        if (message.kind === 'broken') return reject(new Error(message.message));
        if (message.kind === 'open' && message.salvage) options.onSalvage?.(message.salvage);
        return resolve();
      });
    });
    made.removeAllListeners('error');
    made.on('error', (error) => broken(made, error.message));
    made.on('message', (message: Reply) => {
      if (worker !== made) return;
      if (message.kind === 'broken') {
        isSuspect ||= message.isDamaged;
        broken(made, message.message);
      } else if (message.kind === 'batch') finish(message);
    });
    worker = made;
    isSuspect = false;
    setHealth({ ok: true });
  }

  function setHealth(next: typeof health): void {
    const isSame = next.ok === health.ok && reasonOf(next) === reasonOf(health);
    health = next;
    if (!isSame) options.onHealth?.(next);
  }

  function broken(which: Worker, reason: string): void {
    if (worker !== which) return;
    worker = undefined;
    setHealth({ ok: false, reason });
    groups.fail(reason);
    if (!closing) reopenTimer = setTimeout(reopen, reopenAfterMs);
  }

  function reopen(): void {
    start().then(
      () => wake(null),
      (error: Error) => {
        setHealth({ ok: false, reason: error.message });
        if (!closing) reopenTimer = setTimeout(reopen, reopenAfterMs);
      },
    );
  }

  function ask<O extends Op>(op: O, bytes?: number): Promise<Results[O['kind']]> {
    if (closing) return Promise.reject(new QueueUnavailable('cannot_store', 'the service is shutting down'));
    if (!worker)
      return Promise.reject(new QueueUnavailable('cannot_store', health.ok ? 'the database is closed' : health.reason));
    return groups.ask(op, bytes);
  }

  function finish(reply: Reply & { kind: 'batch' }): void {
    depths = new Map(reply.queues.map(({ installation, queued }) => [installation, queued]));
    for (const [token, standing] of reply.standings) {
      if (standing === null) standings.delete(token);
      else if (standings.has(token)) standings.set(token, standing);
    }
    groups.finish(reply.results, (op, result) => {
      if (isWrite(op)) noticeWrite(result);
      if (op.kind === 'lease' && result.ok) {
        for (const { token, consent } of result.value as Results['lease']) standings.set(token, { consent });
      }
    });
    clearTimeout(dueTimer);
    for (const { installation, ready } of reply.queues) if (ready > 0) wake(installation);
    if (reply.nextDueInMs < Infinity)
      dueTimer = setTimeout(() => wake(null), Math.min(Math.max(0, Math.ceil(reply.nextDueInMs)), 60_000));
  }

  /** A full disk breaks no thread: the writes fail, and a small one is tried until it goes through. */
  function noticeWrite(result: Result): void {
    if (result.ok) {
      if (!health.ok) setHealth({ ok: true });
      return;
    }
    if (health.ok) setHealth({ ok: false, reason: result.message });
    clearTimeout(probeTimer);
    probeTimer = setTimeout(() => void ask({ kind: 'probe' }).catch(() => {}), reopenAfterMs);
  }

  async function shutDown(): Promise<void> {
    clearTimeout(reopenTimer);
    clearTimeout(probeTimer);
    await groups.idle();
    clearTimeout(dueTimer);
    const last = worker;
    worker = undefined;
    if (!last) return;
    const exited = new Promise<void>((resolve) => last.once('exit', () => resolve()));
    last.postMessage({ kind: 'close' } satisfies Request);
    await exited;
  }

  await start();

  return {
    enqueue(events) {
      const bytes = events.reduce((sum, event) => sum + event.payload.length, 0);
      if (!groups.hasRoom(events.length, bytes)) {
        return Promise.reject(new QueueUnavailable('overloaded', 'more events arrive than the disk can take'));
      }
      return ask({ kind: 'enqueue', events: packEvents(events) }, bytes);
    },
    preview: (events) => ask({ kind: 'preview', events }),
    async lease(limits) {
      const mine = generation;
      const leases = await ask({ kind: 'lease', ...limits });
      return leases.map((lease) => ({ ...lease, token: `${mine}.${lease.token}` }));
    },
    standing(lease) {
      const token = ownToken(lease.token);
      return Promise.resolve((token !== undefined && worker && standings.get(token)) || null);
    },
    async settle(lease, progress) {
      const token = ownToken(lease.token);
      if (token !== undefined) await ask({ kind: 'settle', token, progress });
    },
    async release(lease, retry) {
      const token = ownToken(lease.token);
      if (token === undefined) return;
      await ask({ kind: 'release', token, retry });
      standings.delete(token);
    },
    redrive: (ids) => ask({ kind: 'redrive', ids }),
    erase: (installation, key) => ask({ kind: 'erase', installation, key, messageId: `erasure-${randomUUID()}` }),
    erasure: (id) => ask({ kind: 'erasure', id }),
    person: (installation, key) => ask({ kind: 'person', key: `${installation}/${key}` }),
    onDue(listener) {
      wake = listener;
    },
    record: (installation, key) => ask({ kind: 'record', key: `${installation}/${key}` }),
    async turn(installation, key) {
      const end = await turns(`${installation}/${key}`);
      return async () => end();
    },
    ...createLooks(ask),
    detail: (id) => ask({ kind: 'detail', id }),
    summaries: (ids, text) => ask({ kind: 'summaries', ids, text }),
    async states(ids) {
      return new Map(await ask({ kind: 'states', ids }));
    },
    stats: (installation) => ask({ kind: 'stats', installation: installation ?? null }),
    health: () => health,
    depth(installation) {
      if (installation !== undefined) return depths.get(installation) ?? 0;
      return [...depths.values()].reduce((sum, queued) => sum + queued, 0);
    },
    installations: () => ask({ kind: 'installations' }),
    keepInstallation: (id, record, audit) => ask({ kind: 'keepInstallation', id, record, audit }),
    async removeInstallation(id, audit) {
      while (await ask({ kind: 'discard', installation: id })); // in steps, between which others write
      await ask({ kind: 'removeInstallation', id, audit });
    },
    keepAudit: (entry) => ask({ kind: 'keepAudit', entry }),
    audit: (page) => ask({ kind: 'audit', ...page }),
    close() {
      closing ??= shutDown();
      return closing;
    },
  };

  function ownToken(token: string): string | undefined {
    const [number, own] = token.split('.');
    return number === String(generation) ? own : undefined;
  }
}

const reasonOf = (health: ReturnType<Queue['health']>): string => (health.ok ? '' : health.reason);
