import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { DeliveryOptions } from '../delivery.ts';
import { openDatabase } from '../queue/postgres/database.ts';
import { openPostgresGates } from './gates.ts';
import { openPostgresQuota } from './quota.ts';
import { openReplicas, type Replicas } from './replicas.ts';

/** This process among the replicas of its database. */
export type Membership = Replicas & {
  /** Of one installation: the quota and the gate that all replicas have in common. */
  delivery(installation: string): NonNullable<DeliveryOptions['shared']>;
};

/** Of the calls that wait for a grant, and of the parts beside the queue. */
const connections = 2;

/** Null with a database that one process has for itself. The schema is up to date. */
export async function joinReplicas(
  { database, roles }: Pick<Config, 'database' | 'roles'>,
  { version, log }: { version: string; log: Logger },
): Promise<Membership | null> {
  if (database.kind === 'sqlite') return null;
  const own = openDatabase(database.url, { connections });
  const quota = openDatabase(database.url, { connections });
  const replicas = await openReplicas({
    db: own,
    version,
    roles: Object.entries(roles).flatMap(([role, isPlayed]) => (isPlayed ? role : [])),
    onError: (err) => log.error({ err }, 'replicas.failed'),
  });
  const gateOf = openPostgresGates(quota);
  return {
    ...replicas,
    delivery: (installation) => ({ quota: openPostgresQuota(quota, installation), gate: gateOf(installation) }),
    async close() {
      await replicas.close();
      await Promise.all([own.close(), quota.close()]);
    },
  };
}
