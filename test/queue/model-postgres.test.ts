import t from 'tap';
import { startPostgres } from '../postgres.ts';
import { holds, timeoutMs } from './holds.ts';
import { queueProperty } from './queue.property.ts';
import { openPostgresSubject } from './subjects.ts';

// The same sequences against the same model, on the engine that replicas share.

t.setTimeout(timeoutMs);

const server = await startPostgres();
t.teardown(() => server.close());

t.test('the engine on PostgreSQL does what the contract says, with replicas that die, and joins of people', (t) =>
  holds(t, queueProperty(openPostgresSubject(server)), { runs: 25, seconds: 30 }),
);
