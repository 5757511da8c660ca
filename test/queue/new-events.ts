import type { NewEvent, Queue } from '../../src/queue/queue.ts';

/** An event as /ingest hands it over; its messageId is in its raw text. */
export function newEvent(userId: string, messageId: string): NewEvent {
  return {
    installation: 'default',
    messageId,
    type: 'track',
    name: 'A',
    userId,
    email: null,
    anonymousId: null,
    receivedAtMs: 10_000,
    atMs: 10_000,
    payload: JSON.stringify({ n: messageId }),
    decision: '{}',
    consent: null,
    filtered: null,
  };
}

const batch = 400;

/** Dead letters of as many people, m0, m1, …, by turns `expired` and `bug`; their ids in the order of acceptance. */
export async function killMany(queue: Queue, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < count; n += batch) {
    const events = Array.from({ length: Math.min(batch, count - n) }, (_, i) => newEvent(`u${n + i}`, `m${n + i}`));
    ids.push(...(await queue.enqueue(events)).map(({ id }) => id));
    const leases = await queue.lease({ installation: 'default', people: batch, jobsEach: 1 });
    await Promise.all(
      leases.map(async (lease) => {
        const { id } = lease.jobs[0]!;
        const reason = ids.indexOf(id) % 2 === 0 ? 'expired' : 'bug';
        const attempt = { intercomStatus: 422, calls: 1, ms: 3, exchange: null };
        await queue.settle(lease, { done: [{ id, status: 'dead', reason, attempt }] });
        await queue.release(lease);
      }),
    );
  }
  return ids;
}
