import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { AlertDuty } from '../alerts/alerts.ts';
import type { ActivityOfAll, Counted } from '../console/activity.ts';
import type { SharedChanges } from '../console/live.ts';
import type { RedriveJobs } from '../console/redrives.ts';
import type { SharedInstallations } from '../installations/registry.ts';
import type { Database } from '../queue/postgres/database.ts';
import { openSharedActivity } from './activity.ts';
import { openChanges } from './changes.ts';
import { openDuty } from './duty.ts';
import { openSharedInstallations } from './installations.ts';
import { openPulse, type Replica } from './pulse.ts';
import { openRedriveJobs } from './redrive-jobs.ts';
import { openTally, type Tally } from './tally.ts';

/**
 * What the replicas of one database tell each other beside the queue, so that it makes no difference which of them a
 * browser or a curl has met.
 *
 * None of it is needed to keep, to order or to send events: while the database is away each goes on with what it
 * knows, and a replica that dies is forgotten within a minute. Times are the database's, which all share.
 */
export type Replicas = {
  id: string;
  /** All that were heard of within the last minute, oldest first. */
  list(): Promise<Replica[]>;
  /** Whether another one is at work, as of the last half second. */
  hasOthers(): boolean;
  /** For the live stream. */
  changes: SharedChanges;
  /** For the overview; `counted` is what this replica has counted itself. */
  shareActivity(counted: Counted): ActivityOfAll;
  redrives: RedriveJobs;
  installations: SharedInstallations;
  alerts: { duty: AlertDuty; tally: Tally };
  close(): Promise<void>;
};

export type ReplicasOptions = {
  /** Migrated, and with two connections of its own: a change of an installation keeps one for as long as it takes. */
  db: Database;
  version: string;
  /** What this replica does, for whoever looks. */
  roles: string[];
  onError(error: unknown): void;
  host?: string;
  timing?: Partial<typeof usualTiming>;
};

const usualTiming = {
  /** How soon a replica takes notice of what the others want of it. */
  lookMs: 500,
  /** How often it says that it lives, and what it has counted. */
  beatMs: 2000,
  sweepMs: 10_000,
  writeChangesMs: 200,
  readChangesMs: 250,
  /** Work of a replica that is not heard of for so long goes on elsewhere. */
  leaseMs: 15_000,
};

export async function openReplicas(options: ReplicasOptions): Promise<Replicas> {
  const { db, version, roles, onError } = options;
  const timing = { ...usualTiming, ...options.timing };
  const id = randomUUID();
  const pulse = await openPulse({ db, id, version, roles, host: options.host ?? hostname(), onError, timing });
  const tally = openTally({ db, everyMs: timing.beatMs, onError });
  const changes = openChanges({ db, id, pulse, onError, timing });
  const shared: { close(): Promise<void> }[] = [];

  return {
    id,
    list: pulse.list,
    hasOthers: () => pulse.seen().others > 0,
    changes,
    shareActivity(counted) {
      const activity = openSharedActivity({ db, id, tally, counted, pulse, everyMs: timing.beatMs, onError });
      shared.push(activity);
      return activity;
    },
    redrives: openRedriveJobs({ db, id, pulse, leaseMs: timing.leaseMs }),
    installations: openSharedInstallations({ db, id, pulse, onError }),
    alerts: { duty: openDuty({ db, id, name: 'alerts', leaseMs: timing.leaseMs }), tally },
    async close() {
      await Promise.all([...shared.map((part) => part.close()), changes.close()]);
      await tally.close();
      await pulse.close();
    },
  };
}
