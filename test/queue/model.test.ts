import t from 'tap';
import { holds, timeoutMs } from './holds.ts';
import { queueProperty } from './queue.property.ts';
import { openEngineSubject, openStoreSubject } from './subjects.ts';

// Any sequence of enqueues, leases, settles, retries, joins, redrives, failed commits, crashes and reopenings, against
// a model that is simple enough to be believed.

t.setTimeout(timeoutMs);

t.test('the store does what the contract says, over failed commits, crashes and joins of people', (t) =>
  holds(t, queueProperty(openStoreSubject), { runs: 400, seconds: 24 }),
);

t.test('the whole engine does what the contract says, with group commits and crashes', (t) =>
  holds(t, queueProperty(openEngineSubject), { runs: 25, seconds: 14 }),
);
