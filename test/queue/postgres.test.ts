import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { openPostgresQueue } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import { QueueUnavailable } from '../../src/queue/queue.ts';
import { startPostgres } from '../postgres.ts';
import { conformance } from './conformance.ts';

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
