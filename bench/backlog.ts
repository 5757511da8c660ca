import { backlogEvents, inBatches } from './events.ts';
import { closedLoop } from './load.ts';
import type { Service } from './service.ts';

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
