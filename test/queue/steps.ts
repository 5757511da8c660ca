import * as fc from 'fast-check';
import type { LeaseLimits } from '../../src/queue/queue.ts';

/** What a run may do. Numbers choose among what is there when the step comes, so that a shrunk run still makes sense. */
export type Step =
  | Write
  | { do: 'together'; writes: Write[] }
  | ({ do: 'lease' } & LeaseLimits)
  | { do: 'pass'; ms: number }
  | { do: 'fail' }
  | { do: 'crash' }
  | { do: 'reopen' };

export type Write =
  | { do: 'enqueue'; events: SmallEvent[] }
  | ({ do: 'settle'; lease: number } & Settling)
  | { do: 'release'; lease: number; retry: { afterMs: number; countAttempt: boolean; pick: number } | null }
  | { do: 'redrive'; picks: number[] }
  /** An event that makes a lead, whose lease it picks, one with a user: by chance that hardly ever is in time. */
  | { do: 'join'; lease: number; user: number };

export type Settling = {
  from: number;
  count: number;
  status: Status;
  record: boolean;
  shared: boolean;
  chosen: boolean;
};
type Status = 'delivered' | 'filtered' | 'dead';
export type SmallEvent = {
  installation: string;
  messageId: number;
  user: number | null;
  email: number | null;
  device: number | null;
  filtered: boolean;
  consent: { functional: boolean; marketing: boolean; agoMs: number } | null;
};

/** Often nobody, and many more leads than users: whoever is joined from the first on, is never joined in flight. */
const oneOf = (most: number) => fc.option(fc.nat(most), { freq: 2 });
const smallEvent: fc.Arbitrary<SmallEvent> = fc.record({
  installation: fc.constantFrom('a', 'a', 'a', 'b'),
  messageId: fc.nat(60),
  user: oneOf(2),
  email: oneOf(7),
  device: oneOf(5),
  filtered: fc.nat(9).map((n) => n === 0),
  consent: fc.option(
    fc.record({
      functional: fc.boolean(),
      marketing: fc.boolean(),
      agoMs: fc.integer({ min: -5, max: 20 }),
    }),
    { freq: 3 },
  ),
});

const enqueue = fc.record({
  do: fc.constant('enqueue' as const),
  events: fc.array(smallEvent, { minLength: 1, maxLength: 4 }),
});
const settle = fc.record({
  do: fc.constant('settle' as const),
  lease: fc.nat(20),
  from: fc.constantFrom(0, 0, 0, 1),
  count: fc.constantFrom(0, 1, 2, 3, 3),
  status: fc.constantFrom<Status>('delivered', 'filtered', 'dead', 'dead'),
  record: fc.boolean(),
  shared: fc.boolean(),
  chosen: fc.boolean(),
});
const join = fc.record({ do: fc.constant('join' as const), lease: fc.nat(20), user: fc.nat(2) });
const retry = fc.record({
  afterMs: fc.constantFrom(0, 3, 60_000),
  countAttempt: fc.boolean(),
  pick: fc.constantFrom(0, 0, 0, 1, 2),
});
const release = fc.record({
  do: fc.constant('release' as const),
  lease: fc.nat(20),
  retry: fc.option(retry),
});
const redrive = fc.record({
  do: fc.constant('redrive' as const),
  picks: fc.array(fc.nat(60), { minLength: 1, maxLength: 4 }),
});

export const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: enqueue },
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('lease' as const),
        installation: fc.constantFrom('a', 'a', 'b'),
        people: fc.integer({ min: 1, max: 4 }),
        jobsEach: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 5, arbitrary: settle },
    { weight: 5, arbitrary: release },
    { weight: 2, arbitrary: redrive },
    { weight: 2, arbitrary: join },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('together' as const),
        writes: fc.array(fc.oneof(enqueue, settle, release, redrive, join), {
          minLength: 2,
          maxLength: 5,
        }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('pass' as const),
        ms: fc.constantFrom(1, 2, 3, 1000, 60_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom({ do: 'fail' as const }, { do: 'crash' as const }, { do: 'reopen' as const }),
    },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
);
