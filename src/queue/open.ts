import type { Config } from '../config.ts';
import { openPostgresQueue } from './postgres/engine.ts';
import { migrate } from './postgres/migrate.ts';
import type { Queue } from './queue.ts';
import { openSqliteQueue } from './sqlite/engine.ts';
import type { Salvage } from './sqlite/salvage.ts';

export type OpenQueueOptions = {
  /** Told when events can't be kept any more, and when they can again. */
  onHealth(health: ReturnType<Queue['health']>): void;
  /** Told that an embedded database was damaged, and what of it is left. */
  onSalvage(salvage: Salvage): void;
  /** Told that the clock of the database was set back, and that nobody waits until that time comes again; ms. */
  onClockSetBack(ms: number): void;
  /** Told of each version that this start has brought the database to. */
  onMigrated(version: number): void;
};

/** How long a start waits for a server that restarts or fails over. */
const patienceMs = 30_000;

/** The engine that DATABASE_URL names, with its schema up to date. */
export async function openQueue(
  { database, anonymousEvents, ...config }: Config,
  { onHealth, onSalvage, onClockSetBack, onMigrated }: OpenQueueOptions,
): Promise<Queue> {
  const holdAnonymous = anonymousEvents === 'hold';
  const retention = { settledMs: config.retentionMs, deadMs: config.deadLetterMs, heldMs: config.anonymousHoldMs };
  if (database.kind === 'sqlite')
    return openSqliteQueue({ path: database.path, holdAnonymous, retention, onHealth, onSalvage });
  const { url, connections } = database;
  await migrate(url, { patienceMs, onMigrated });
  return openPostgresQueue({ url, connections, holdAnonymous, retention, onHealth, onClockSetBack });
}
