import { writeSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { NewEvent, Queue } from '../src/queue/queue.ts';
import { openDatabase } from '../src/queue/sqlite/database.ts';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { openStore } from '../src/queue/sqlite/store.ts';

// The writer of power-loss.sh: enqueues without end and prints the messageId of each event that was acknowledged.
// `unsynced` is the negative control: the same store on a connection that does not sync.

const [path, mode] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: power-loss-writer.ts <database> [unsynced]');
const enqueue = mode === 'unsynced' ? openUnsynced(path) : (await openSqliteQueue({ path })).enqueue;
let serial = 0;

await Promise.all(Array.from({ length: 8 }, (_, line) => write(line)));

async function write(line: number): Promise<never> {
  for (;;) {
    const events = Array.from({ length: 1 + (serial % 5) }, () => newEvent(`m${(serial += 1)}`, line));
    await enqueue(events);
    print(events);
  }
}

function openUnsynced(file: string): Queue['enqueue'] {
  const db = openDatabase(file);
  db.exec('PRAGMA synchronous = OFF');
  const foreverMs = Infinity;
  const store = openStore(db, {
    holdAnonymous: false,
    retention: { settledMs: foreverMs, deadMs: foreverMs, heldMs: foreverMs },
  });
  return async (events) => {
    store.begin();
    const receipts = store.enqueue(events);
    store.commit();
    await setImmediate();
    return receipts;
  };
}

/** Synchronous, so that an acknowledgement never waits inside this process. */
function print(events: NewEvent[]): void {
  writeSync(1, events.map(({ messageId }) => `${messageId}\n`).join(''));
}

function newEvent(messageId: string, line: number): NewEvent {
  const nowMs = Date.now();
  return {
    installation: 'default',
    messageId,
    type: 'track',
    name: 'A',
    userId: `u${line}`,
    email: null,
    anonymousId: null,
    receivedAtMs: nowMs,
    atMs: nowMs,
    payload: JSON.stringify({ messageId, text: 'x'.repeat(500) }),
    decision: '{}',
    consent: null,
    filtered: null,
  };
}
