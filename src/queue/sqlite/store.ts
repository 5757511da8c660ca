import type { QueueStats } from '../queue.ts';
import { createArrivals } from './arrivals.ts';
import { createCauses } from './causes.ts';
import { type Database, schema } from './database.ts';
import { createHistory, type Retention } from './history.ts';
import { createLanes } from './lanes.ts';
import { createLeases } from './leases.ts';
import { isDevice, openPeople } from './people.ts';
import { createSearch } from './search.ts';
import { openSeen } from './seen.ts';
import { statements } from './statements.ts';
import { createTransaction } from './transaction.ts';

/** The queue on one SQLite connection. Writes run between `begin` and `commit`, reads outside. */
export type Store = ReturnType<typeof openStore>;

export type StoreOptions = { holdAnonymous: boolean; retention: Retention };

export function openStore(db: Database, options: StoreOptions) {
  db.exec(schema);
  const sql = statements(db);
  const transaction = createTransaction(db);
  const lanes = createLanes();
  const people = openPeople(db, { devices: options.holdAnonymous });
  const seen = openSeen(db);
  const history = createHistory({ sql, transaction, lanes, people, retention: options.retention });
  const arrivals = createArrivals({ sql, transaction, lanes, people, seen, stateOf: history.stateOf });
  const leases = createLeases({ sql, transaction, lanes, people });

  for (let after = 0; ;) {
    const row = sql.jobsAfter.get(after);
    const seqs: number[] = JSON.parse(String(row?.seqs));
    const keys: string[] = JSON.parse(String(row?.people));
    const dues: number[] = JSON.parse(String(row?.dues));
    if (seqs.length === 0) break;
    seqs.forEach((seq, index) => {
      const person = people.current(keys[index]!);
      lanes.add(person, seq, isDevice(person), dues[index]);
    });
    after = seqs.at(-1)!;
  }

  function stats(): QueueStats {
    const { jobs, people: count, waiting, leased, held } = lanes.counts();
    const oldest = sql.oldestQueued.get()?.received_at;
    return {
      ...transaction.totals(),
      queued: jobs,
      people: count,
      waiting,
      leased,
      held,
      oldestQueuedAtMs: oldest == null ? null : Number(oldest),
    };
  }

  let hasConsentChanged = false;

  return {
    begin: transaction.begin,
    commit() {
      transaction.commit();
      hasConsentChanged ||= arrivals.hasConsentChanged();
      arrivals.commit();
      seen.commit();
    },
    rollback() {
      transaction.rollback();
      arrivals.rollback();
      seen.rollback();
      people.rollback();
    },
    enqueue: arrivals.enqueue,
    ...leases,
    /** Of all leases, when consent has changed since the last call. */
    changedStandings(): ReturnType<typeof leases.standings> {
      const changed = hasConsentChanged;
      hasConsentChanged = false;
      return changed ? leases.standings() : [];
    },
    redrive: history.redrive,
    states: history.states,
    ...createSearch(db),
    ...createCauses(db),
    record: (key: string): string | null => {
      const record = sql.contact.get(key)?.record;
      return typeof record === 'string' ? record : null;
    },
    probe: () => void sql.touch.run(),
    stats,
    /** One bounded step of moving and forgetting; true when more is to be done. */
    tidy: (nowMs: number): boolean => seen.tidy(nowMs) || history.tidy(nowMs),
    queued: () => lanes.counts().jobs,
    ready: lanes.ready,
    nextDueAtMs: lanes.nextDueAtMs,
  };
}
