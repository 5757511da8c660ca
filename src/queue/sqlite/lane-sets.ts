import { createLanes, type Lanes } from './lanes.ts';

/** Lanes by installation: one that is paused, held or out of quota leaves the people of the others due. */
export type LaneSets = {
  /** Those of a person's installation. */
  of(person: string): Lanes;
  in(installation: string): Lanes;
  /** The installation is gone, and all its jobs. */
  forget(installation: string): void;
  counts(): ReturnType<Lanes['counts']>;
  /** What each installation has queued, and how many of its people are due. */
  queues(): { installation: string; queued: number; ready: number }[];
  /** The first job that waits for no login, of one installation or of all; Infinity when there is none. */
  oldest(installation: string | null): number;
  /** When the next waiting lane of any becomes due; Infinity when none waits. */
  nextDueAtMs(): number;
};

export function createLaneSets(): LaneSets {
  const sets = new Map<string, Lanes>();

  function within(installation: string): Lanes {
    let lanes = sets.get(installation);
    if (lanes === undefined) {
      lanes = createLanes();
      sets.set(installation, lanes);
    }
    return lanes;
  }

  return {
    of: (person) => within(person.slice(0, person.indexOf('/'))),
    in: within,
    forget: (installation) => void sets.delete(installation),
    counts() {
      const sum = { jobs: 0, people: 0, waiting: 0, leased: 0, held: 0 };
      for (const lanes of sets.values()) {
        const { jobs, people, waiting, leased, held } = lanes.counts();
        sum.jobs += jobs;
        sum.people += people;
        sum.waiting += waiting;
        sum.leased += leased;
        sum.held += held;
      }
      return sum;
    },
    oldest: (installation) =>
      installation
        ? within(installation).oldest()
        : Math.min(Infinity, ...[...sets.values()].map((lanes) => lanes.oldest())),
    queues: () =>
      [...sets].map(([installation, lanes]) => ({ installation, queued: lanes.counts().jobs, ready: lanes.ready() })),
    nextDueAtMs: () => Math.min(Infinity, ...[...sets.values()].map((lanes) => lanes.nextDueAtMs())),
  };
}
