import t from 'tap';
import type { NewEvent } from '../../src/queue/queue.ts';
import { packEvents, unpackEvents } from '../../src/queue/sqlite/event-columns.ts';
import { newEvent } from './new-events.ts';

t.test('few events and many come to the writer thread as they were', async (t) => {
  const variants: NewEvent[] = [
    newEvent('u', 'm'),
    { ...newEvent('u', 'n'), userId: null, email: 'a@example.com', anonymousId: 'd', filtered: 'no_identifier' },
    { ...newEvent('u', 'o'), name: null, trace: '00-a-b-01', consent: { functional: true, marketing: false } },
    { ...newEvent('u', 'p'), consent: { functional: false, marketing: true } },
    { ...newEvent('u', 'q'), consent: { functional: false, marketing: false } },
    { ...newEvent('u', 'r'), consent: { functional: true, marketing: true } },
  ];
  for (const events of [variants, [...variants, ...variants]])
    t.strictSame(unpackEvents(structuredClone(packEvents(events))), events);
});
