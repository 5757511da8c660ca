import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { type Database, lockDatabase, openDatabase } from './database.ts';
import { unpackEvents } from './event-columns.ts';
import {
  isWrite,
  type Op,
  type Reply,
  type Request,
  type Result,
  type Results,
  type WorkerOptions,
} from './protocol.ts';
import { isDamage, mend, salvage } from './salvage.ts';
import { openStore, type Store } from './store.ts';

// The writer thread: owns the database file, so that the event loop never waits for the disk.

const { path, isSuspect, ...options } = workerData as WorkerOptions;
const port = parentPort!;
/** Forgetting goes on in small steps, so that no acknowledgement waits for it; faster while there is much to forget. */
const tidyEveryMs = 1000;
const tidyAgainAfterMs = 20;

function run(): void {
  mkdirSync(dirname(path), { recursive: true });
  const lock = lockDatabase(path);
  let mended = mend(path, isSuspect);
  let db: Database;
  let store: Store;
  try {
    db = openDatabase(path);
    store = openStore(db, options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    mended = salvage(path, messageOf(error), Date.now());
    db = openDatabase(path);
    store = openStore(db, options);
  }

  let timer = setTimeout(tidyUp, tidyEveryMs);
  let isBroken = false;

  function tidyUp(): void {
    guarded(() => {
      timer = setTimeout(tidyUp, tidy(store) ? tidyAgainAfterMs : tidyEveryMs);
    });
  }

  port.on('message', (request: Request) => {
    if (isBroken) return; // the next group may have been on its way: nothing more is written after a failed sync
    if (request.kind === 'close') {
      clearTimeout(timer);
      db.close();
      lock.release();
      reply({ kind: 'closed' });
      port.close();
      return;
    }
    guarded(() => {
      const results = runBatch(store, request.ops);
      reply({
        kind: 'batch',
        results,
        queues: store.queues(),
        nextDueInMs: store.nextDueInMs(),
        standings: store.changedStandings(),
      });
    });
  });
  reply({ kind: 'open', salvage: mended });

  function guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      isBroken = true;
      clearTimeout(timer);
      reply({ kind: 'broken', message: messageOf(error), isDamaged: isDamage(error) });
      port.close();
      lock.release();
    }
  }
}

/** Writes first, in their order, in one transaction; then reads, which so see only what is durable. */
function runBatch(store: Store, ops: Op[]): Result[] {
  const results: Result[] = [];
  const writes = ops.flatMap((op, index) => (isWrite(op) ? [index] : []));
  if (writes.length > 0) {
    const failure = transact(store, ops, writes, results);
    if (failure !== undefined && writes.length > 1 && !isStorageError(failure)) {
      // One op that fails must not take the others of its batch with it.
      for (const index of writes) {
        const own = transact(store, ops, [index], results);
        if (own !== undefined) results[index] = { ok: false, message: messageOf(own) };
      }
    } else if (failure !== undefined) {
      for (const index of writes) results[index] = { ok: false, message: messageOf(failure) };
    }
  }
  ops.forEach((op, index) => {
    if (!isWrite(op)) results[index] = attempt(() => read(store, op));
  });
  return results;
}

function transact(store: Store, ops: Op[], indexes: number[], results: Result[]): unknown {
  try {
    store.begin();
    for (const index of indexes) results[index] = { ok: true, value: write(store, ops[index]!) };
    store.commit();
    return undefined;
  } catch (error) {
    store.rollback();
    // After a failed sync nobody knows what is on disk: nothing may be acknowledged from this connection again.
    if (isIoError(error)) throw error;
    return error;
  }
}

function tidy(store: Store): boolean {
  try {
    store.begin();
    const more = store.tidy(Date.now());
    store.commit();
    return more;
  } catch (error) {
    store.rollback();
    if (isIoError(error)) throw error;
    return false;
  }
}

function write(store: Store, op: Op): Results[Op['kind']] {
  if (op.kind === 'enqueue') return store.enqueue(unpackEvents(op.events));
  if (op.kind === 'redrive') return store.redrive(op.ids);
  if (op.kind === 'erase') return store.erase({ ...op, nowMs: Date.now() });
  if (op.kind === 'discard') return store.discard(op.installation, Date.now());
  if (op.kind === 'settle') store.settle(op.token, op.progress, Date.now());
  if (op.kind === 'probe') store.probe();
  if (op.kind === 'release') store.release(op.token, op.retry, Date.now());
  if (op.kind === 'keepInstallation') store.keepInstallation(op.id, op.record, op.audit);
  if (op.kind === 'keepAudit') store.keepAudit(op.entry);
  if (op.kind === 'removeInstallation') store.removeInstallation(op.id, op.audit);
  return undefined;
}

function read(store: Store, op: Op): Results[Op['kind']] {
  if (op.kind === 'erasure') return store.erasure(op.id);
  if (op.kind === 'person') return store.person(op.key);
  if (op.kind === 'preview') return store.preview(op.events);
  if (op.kind === 'lease') return store.lease(op);
  if (op.kind === 'record') return store.record(op.key);
  if (op.kind === 'find') return store.find(op.filter, op.limit, op.below);
  if (op.kind === 'countDead') return store.countDead(op);
  if (op.kind === 'walkDead') return store.walkDead(op);
  if (op.kind === 'deadCauses') return store.deadCauses(op);
  if (op.kind === 'filteredCauses') return store.filteredCauses(op);
  if (op.kind === 'detail') return store.detail(op.id);
  if (op.kind === 'summaries') return store.summaries(op.ids, op.text);
  if (op.kind === 'states') return store.states(op.ids);
  if (op.kind === 'installations') return store.installations();
  if (op.kind === 'audit') return store.audit(op);
  if (op.kind === 'stats') return store.stats(op.installation);
  throw new Error(`${op.kind} is no read`);
}

function attempt(work: () => ReturnType<typeof read>): Result {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    if (isIoError(error)) throw error;
    return { ok: false, message: messageOf(error) };
  }
}

const sqliteIoError = 10;
const sqliteCorrupt = 11;
const sqliteFull = 13;

function isIoError(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === sqliteIoError || code === sqliteCorrupt;
}

function isStorageError(error: unknown): boolean {
  return isIoError(error) || sqliteCode(error) === sqliteFull;
}

/** The primary result code; the upper bits say more of the same. */
function sqliteCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined;
  return error.errcode & 0xff;
}

function messageOf(error: unknown): string {
  if (sqliteCode(error) === sqliteFull) return 'the disk is full';
  return error instanceof Error ? error.message : String(error);
}

function reply(message: Reply): void {
  port.postMessage(message);
}

try {
  run();
} catch (error) {
  reply({ kind: 'broken', message: messageOf(error), isDamaged: isDamage(error) });
  port.close();
}
