import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { NewEvent } from '../../src/queue/queue.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import type { Bench } from '../bench.ts';

const batch = 500;
const keepMs = 5000;
const attempt = { intercomStatus: 202, calls: 1, ms: 1, exchange: '{"calls":[],"warnings":[]}' };

/** Events that come, are delivered and forgotten: whether the file stops growing, and whether forgetting stalls the senders. */
export async function growth({ stage, report, quick }: Bench): Promise<void> {
  const events = quick ? 50_000 : 1_000_000;
  report.title('growth', `${events} events kept, delivered and forgotten ${keepMs / 1000} s later; in process`);
  const path = join(stage.folder(), 'queue.db');
  const queue = await openSqliteQueue({ path, retention: { settledMs: keepMs } });
  const sizes: number[] = [];
  const waits: number[] = [];
  const startedAt = performance.now();
  for (let n = 0; n < events; n += batch) {
    const asked = performance.now();
    await queue.enqueue(Array.from({ length: batch }, (_, i) => event(n + i)));
    waits.push(performance.now() - asked);
    for (const lease of await queue.lease({ installation: 'default', people: batch, jobsEach: 50 })) {
      const done = lease.jobs.map(({ id }) => ({ id, status: 'delivered' as const, reason: null, attempt }));
      void queue.settle(lease, { done, record: '{"fields":{},"attributes":{},"seconds":{},"companies":{}}' });
      void queue.release(lease);
    }
    if (n % (events / 20) < batch) sizes.push(megabytes(path));
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const { accepted, delivered } = await queue.stats();
  if (accepted !== events || delivered !== events) throw new Error(`${accepted} accepted, ${delivered} delivered`);
  await queue.close();
  const middle = Math.floor(sizes.length / 2);
  report.figure({ name: 'events kept, delivered and recorded', unit: '/s', values: [events / seconds] });
  report.figure({
    name: 'largest size of the file, first half',
    unit: 'MB',
    values: [Math.max(...sizes.slice(0, middle))],
  });
  report.figure({
    name: 'largest size of the file, second half',
    unit: 'MB',
    values: [Math.max(...sizes.slice(middle))],
  });
  report.figure({ name: 'longest wait for a batch of 500', unit: 'ms', values: [Math.max(...waits)] });
}

function event(n: number): NewEvent {
  return {
    installation: 'default',
    messageId: `growth-${n}`,
    type: 'track',
    name: 'Product Viewed',
    userId: `user-${n % 10_000}`,
    email: null,
    anonymousId: null,
    receivedAtMs: Date.now(),
    atMs: Date.now(),
    payload: `{"type":"track","event":"Product Viewed","properties":{"text":"${'x'.repeat(600)}"}}`,
    decision: '{"granted":true,"category":"functional","form":"absent","key":null,"value":null}',
    consent: null,
    filtered: null,
  };
}

function megabytes(path: string): number {
  return ['', '-wal'].reduce((sum, end) => sum + (statSync(path + end, { throwIfNoEntry: false })?.size ?? 0), 0) / 1e6;
}
