import type { NewEvent, Preview, Progress, QueueStats } from '../queue.ts';
import { createArrivals } from './arrivals.ts';
import { createCauses } from './causes.ts';
import { type Clock, machineClock, steadyTime } from './clock.ts';
import { type Database, schema } from './database.ts';
import { createErasures } from './erasures.ts';
import { openErasing } from './erasing.ts';
import { createHistory, type Retention } from './history.ts';
import { openInstallations } from './installations.ts';
import { createLaneSets } from './lane-sets.ts';
import { createLeases } from './leases.ts';
import { isDevice } from '../kinship.ts';
import { openPeople } from './people.ts';
import { createViewer } from './preview.ts';
import { createSearch } from './search.ts';
import { openSeen } from './seen.ts';
import { statements } from './statements.ts';
import { createTransaction } from './transaction.ts';

/** The queue on one SQLite connection. Writes run between `begin` and `commit`, reads outside. */
export type Store = ReturnType<typeof openStore>;

export type StoreOptions = { holdAnonymous: boolean; retention: Retention };

export function openStore(db: Database, options: StoreOptions, clock: Clock = machineClock) {
  db.exec(schema);
  const sql = statements(db);
  const transaction = createTransaction(db);
  const lanes = createLaneSets();
  const people = openPeople(db, { devices: options.holdAnonymous });
  const seen = openSeen(db);
  const history = createHistory({ sql, transaction, lanes, people, retention: options.retention });
  const arrivals = createArrivals({ sql, transaction, lanes, people, seen, stateOf: history.stateOf });
  const erasing = openErasing(db);
  const leases = createLeases({ sql, transaction, lanes, people, erasing, clock });
  const erasures = createErasures(db, { sql, transaction, lanes, people, arrivals, leases, erasing });
  const viewer = createViewer({ sql, arrivals, lanes, people });

  for (let after = 0; ;) {
    const row = sql.jobsAfter.get(after);
    const seqs: number[] = JSON.parse(String(row?.seqs));
    const keys: string[] = JSON.parse(String(row?.people));
    const dues: number[] = JSON.parse(String(row?.dues));
    if (seqs.length === 0) break;
    seqs.forEach((seq, index) => {
      const person = people.current(keys[index]!);
      lanes.of(person).add(person, seq, isDevice(person), steadyTime(clock, dues[index]!));
    });
    after = seqs.at(-1)!;
  }
  db.exec('PRAGMA shrink_memory'); // the pages of the reading are not those that come next

  function stats(installation: string | null): QueueStats {
    const {
      jobs,
      people: count,
      waiting,
      leased,
      held,
    } = installation ? lanes.in(installation).counts() : lanes.counts();
    // The first job of all, unless it may be one that waits for a login, or another installation's: then all are walked.
    const isAny = held === 0 && jobs === lanes.counts().jobs;
    const first = isAny ? Number(sql.firstJob.get()?.seq ?? Infinity) : lanes.oldest(installation);
    const oldest = first === Infinity ? null : sql.receivedAt.get(first)?.received_at;
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

  const installations = openInstallations(db, { transaction, lanes });
  let hasConsentChanged = false;

  function rollback(): void {
    transaction.rollback();
    arrivals.rollback();
    seen.rollback();
    people.rollback();
  }

  return {
    begin: transaction.begin,
    commit() {
      transaction.commit();
      hasConsentChanged ||= arrivals.hasConsentChanged();
      arrivals.commit();
      seen.commit();
    },
    rollback,
    enqueue: arrivals.enqueue,
    /** Accepts the events by the same code, and takes it back: a preview can't differ from what it shows. */
    preview(events: NewEvent[]): Preview {
      transaction.begin();
      try {
        return viewer.preview(events);
      } finally {
        rollback();
      }
    },
    ...leases,
    settle(token: string, progress: Progress, nowMs: number): void {
      leases.settle(token, progress, nowMs);
      erasures.settled(progress.done);
    },
    erase(request: Parameters<typeof erasures.erase>[0]): string {
      hasConsentChanged = true; // what holds for the leases has
      return erasures.erase(request);
    },
    erasure: erasures.state,
    person: viewer.person,
    ...installations,
    /** Of all leases, when consent has changed since the last call. */
    changedStandings(): ReturnType<typeof leases.standings> {
      const changed = hasConsentChanged;
      hasConsentChanged = false;
      return changed ? leases.standings() : [];
    },
    redrive(ids: string[]): number {
      erasures.redriven();
      return history.redrive(ids);
    },
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
    tidy: (nowMs: number): boolean => erasures.tidy() || seen.tidy(nowMs) || history.tidy(nowMs),
    queues: lanes.queues,
    /** Infinity: nobody waits for a time. */
    nextDueInMs: (): number => lanes.nextDueAtMs() - clock.steadyMs(),
  };
}
