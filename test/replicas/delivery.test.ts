import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { readConfig } from '../../src/config.ts';
import { type Delivery, openDelivery } from '../../src/delivery.ts';
import { openDatabase } from '../../src/queue/postgres/database.ts';
import { migrations } from '../../src/queue/postgres/migrations.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import { openPostgresGates } from '../../src/replicas/gates.ts';
import { openPostgresQuota } from '../../src/replicas/quota.ts';
import { startSimulator } from '../../src/simulator/simulator.ts';
import { startPostgres } from '../postgres.ts';
import { temporaryFolder, until } from '../service.ts';

/** One of the replicas' deliveries, with what it has logged. */
async function openReplica(t: Test, databaseUrl: string, baseUrl: string) {
  const logs: string[] = [];
  const db = openDatabase(databaseUrl, { connections: 2 });
  const queue = await openSqliteQueue({
    path: join(temporaryFolder(t), 'queue.db'),
    holdAnonymous: false,
    retention: { settledMs: 1e9, deadMs: 1e9, heldMs: 1e9 },
    onHealth: () => {},
  });
  const delivery: Delivery = openDelivery({
    installation: 'default',
    target: { baseUrl, accessToken: 'first', region: 'us' },
    isPaused: false,
    sends: true,
    config: readConfig({}),
    queue,
    log: pino({ base: null }, { write: (line: string) => void logs.push(line) }),
    mayStillSend: () => () => true,
    onSettled: () => {},
    onAttempt: () => {},
    onPostponed: () => {},
    shared: { quota: openPostgresQuota(db, 'default'), gate: openPostgresGates(db)('default') },
  });
  t.teardown(async () => {
    await delivery.stop(1000);
    await queue.close();
    await db.close();
  });
  return { delivery, held: () => logs.filter((line) => line.includes('delivery.held')).length };
}

t.test('a token that is revoked holds each replica once, and a new one opens them all', async (t) => {
  const postgres = await startPostgres();
  t.teardown(() => postgres.close());
  const url = await postgres.newDatabase();
  const first = openDatabase(url, { connections: 1 });
  for (const migration of migrations) await first.query(migration);
  await first.close();
  const simulator = await startSimulator({ tokens: ['first'] });
  t.teardown(() => simulator.close());
  const replicas = await Promise.all([1, 2, 3].map(() => openReplica(t, url, simulator.url)));
  const all = (isOpen: boolean): boolean => replicas.every(({ delivery }) => delivery.gate().open === isOpen);
  await until('all are open', () => all(true));
  t.ok(
    replicas.every(({ delivery }) => delivery.workspace() !== null && delivery.quota().limit !== null),
    'each knows the workspace and its quota',
  );

  simulator.setTokens(['second']);
  t.match(await replicas[0]!.delivery.check(), { open: false, reason: 'token_invalid' });
  await until('all are held', () => all(false));
  const states = replicas.map(({ delivery }) => delivery.gate());
  t.match(states[1], { reason: 'token_invalid', message: /does not accept the access token/ });
  t.strictSame(states[2], states[1]);

  const target = { baseUrl: simulator.url, accessToken: 'second', region: 'us' as const };
  replicas[0]!.delivery.retarget(target);
  t.match(await replicas[0]!.delivery.check(), { open: true });
  for (const { delivery } of replicas.slice(1)) delivery.retarget(target);
  await until('all are open again', () => all(true));
  t.strictSame(
    replicas.map(({ held }) => held()),
    [1, 1, 1],
  );
});
