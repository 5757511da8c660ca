import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { openDatabase, Rollback } from '../../src/queue/postgres/database.ts';
import { openPostgresQueue } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import { type NewEvent, QueueUnavailable } from '../../src/queue/queue.ts';
import { startPostgres } from '../postgres.ts';
import { conformance } from './conformance.ts';
import { newEvent } from './new-events.ts';
import { until } from '../service.ts';

const server = await startPostgres();
t.teardown(() => server.close());

conformance(t, (_t, options) => {
  const url = server.newDatabase();
  return {
    async open() {
      await migrate(await url);
      return openPostgresQueue({ url: await url, connections: 8, ...options });
    },
  };
});

t.test('who falls silent within a transaction loses its locks after 5 s, and the session is as it was', async (t) => {
  const db = openDatabase(await server.newDatabase(), { connections: 1 });
  t.teardown(() => db.close());
  const show = 'SHOW idle_in_transaction_session_timeout';
  const within = await db.transaction((tx) => tx.query(show));
  t.strictSame(within, [{ idle_in_transaction_session_timeout: '5s' }]);
  t.strictSame(await db.query(show), [{ idle_in_transaction_session_timeout: '0' }]);
  const silent = db.transaction(async (tx) => {
    await delay(6000);
    return tx.query('SELECT 1');
  });
  await t.rejects(silent, QueueUnavailable);
  t.strictSame(await db.query('SELECT 1 AS n'), [{ n: 1 }], 'the next one has a new connection');
});

t.test('a refusal that comes while its person becomes another holds for the other', async (t) => {
  const url = await server.newDatabase();
  await migrate(url);
  const [one, other] = await Promise.all([1, 2].map(() => openPostgresQueue({ url, connections: 4 })));
  const watch = openDatabase(url, { connections: 2 });
  t.teardown(() => Promise.all([one!.close(), other!.close(), watch.close()]));
  const email = 'lead@example.com';
  const refusal: NewEvent = {
    ...newEvent('', 'refusal'),
    userId: null,
    email,
    consent: { functional: false, marketing: false },
    filtered: 'consent_functional',
  };

  // The join has made one of two, and waits for a moment before it writes down who is who.
  const moment = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  const holding = watch.transaction(async (tx) => {
    await tx.query('INSERT INTO alias (key, person) VALUES ($1, $1)', [`default/email:${email}`]);
    held.resolve();
    await moment.promise;
    throw new Rollback(undefined);
  });
  await held.promise;
  const waiting = async (): Promise<number> => {
    const [row] = await watch.query<{ n: number }>(
      "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    );
    return row!.n;
  };
  const join = one!.enqueue([{ ...newEvent('u', 'join'), email }]);
  await until('the join waits', async () => (await waiting()) === 1);
  let isAcknowledged = false;
  const refused = other!.enqueue([refusal]).then(() => (isAcknowledged = true));
  await until('the refusal waits for the join', async () => isAcknowledged || (await waiting()) === 2);
  moment.resolve();
  await Promise.all([holding, join, refused]);
  const [lease] = await one!.lease({ installation: 'default', people: 1, jobsEach: 1 });
  t.match(lease, { person: 'user:u', consent: { functional: false } });
  await one!.release(lease!);
});
