import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { createLanes } from '../../src/queue/sqlite/lanes.ts';
import { createLinesModel, type Holder, isVisitor } from './lines-model.ts';

/**
 * The lanes against the naive lines, in any order of calls that the store makes. What the store never does is left
 * out: a user is never joined to anybody, nobody is joined to a visitor, and of two people that are one by now only
 * the one joined to is named again.
 */
export type LanesStep =
  | { do: 'add'; pick: number; afterMs: number }
  | { do: 'insert' | 'discard'; pick: number }
  | { do: 'remove'; pick: number; job: number }
  | { do: 'join'; from: number; into: number }
  | { do: 'take'; limit: number }
  | { do: 'drop'; lease: number; count: number; from: number }
  | { do: 'release'; lease: number; count: number; afterMs: number }
  | { do: 'pass'; ms: number };

const keys = ['a/anon:1', 'a/anon:2', 'a/anon:3', 'a/email:1', 'a/email:2', 'a/email:3', 'a/user:1', 'a/user:2'];
const key = fc.nat(keys.length - 1);

export const lanesSteps: fc.Arbitrary<LanesStep[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('add' as const),
        pick: key,
        afterMs: fc.constantFrom(0, 0, 0, 0, 0, 0, 5), // a job waits from its start on after a restart alone
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('take' as const),
        limit: fc.integer({ min: 1, max: 3 }),
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('join' as const), from: key, into: key }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('drop' as const),
        lease: fc.nat(5),
        count: fc.integer({ min: 1, max: 3 }),
        from: fc.constantFrom(0, 0, 0, 1),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('release' as const),
        lease: fc.nat(5),
        count: fc.constantFrom(1, 1, 2),
        afterMs: fc.constantFrom(0, 0, 1, 5, 100),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom('insert' as const, 'discard' as const),
        pick: fc.nat(9),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), pick: key, job: fc.nat(5) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 4, 5, 200) }),
    },
  ),
  { minLength: 1, maxLength: 60, size: 'max' },
);

export function walkLanes(path: LanesStep[]): void {
  const lanes = createLanes();
  const model = createLinesModel();
  const keyOf = new Map<number, string>();
  const dropped: number[] = [];
  let open: { lane: number; holder: Holder; jobs: number[] }[] = [];
  let nowMs = 1000;
  let seq = 0;

  function take(step: LanesStep): void {
    if (step.do === 'add') {
      const person = model.ownerOf(keys[step.pick]!);
      seq += 1;
      keyOf.set(seq, person);
      const dueAtMs = step.afterMs > 0 ? nowMs + step.afterMs : 0;
      lanes.add(person, seq, isVisitor(person), dueAtMs);
      model.add(person, seq, dueAtMs);
    } else if (step.do === 'insert') {
      const [back] = dropped.splice(step.pick % Math.max(1, dropped.length), 1);
      if (back === undefined) return;
      const person = model.ownerOf(keyOf.get(back)!);
      lanes.insert(person, back, isVisitor(person));
      model.add(person, back);
    } else if (step.do === 'discard') {
      const person = keys[step.pick % 3]!;
      const line = model.line(person);
      const gone = line[step.pick % Math.max(1, line.length)];
      if (gone === undefined) return;
      lanes.discard(person, gone);
      model.drop(gone);
    } else if (step.do === 'remove') {
      const person = model.ownerOf(keys[step.pick]!);
      const inFlight = new Set(open.flatMap(({ jobs }) => jobs));
      // Of one who is leased together with those that it was joined with, no one lane has all jobs.
      if (model.isLeased(person) && lanes.lengthOf(person) !== model.line(person).length) return;
      const line = model.line(person).filter((job) => !inFlight.has(job));
      const gone = line[step.job % Math.max(1, line.length)];
      if (gone === undefined) return;
      // A due line that so has nothing due stays in its place until it is taken: a test of its own.
      const [head, ...due] = isVisitor(person) ? [] : model.dueLine(person, nowMs);
      if (head === gone && due.length === 0) return;
      lanes.remove(person, gone);
      model.drop(gone);
    } else if (step.do === 'join') {
      const from = model.ownerOf(keys[step.from]!);
      const into = model.ownerOf(keys[step.into]!);
      if (from === into || from.includes('user:') || isVisitor(into)) return;
      lanes.join(from, into);
      model.join(from, into);
    } else if (step.do === 'take') lease(step.limit);
    else if (step.do === 'drop') {
      const lease = open[step.lease % Math.max(1, open.length)];
      for (const job of lease?.jobs.splice(step.from, step.count) ?? []) {
        lanes.drop(lease!.lane, job);
        model.drop(job);
        dropped.push(job);
      }
    } else if (step.do === 'release') {
      const [lease] = open.splice(step.lease % Math.max(1, open.length), 1);
      if (!lease) return;
      const dueAtMs = step.afterMs > 0 ? nowMs + step.afterMs : 0;
      const seqs = lease.jobs.slice(0, step.count);
      lanes.postpone(lease.lane, new Set(seqs), dueAtMs);
      lanes.release(lease.lane);
      model.release(lease.holder, { seqs, dueAtMs });
    } else if (step.do === 'pass') nowMs += step.ms;
  }

  function lease(limit: number): number {
    const taken = lanes.take(nowMs, limit).map((lane) => {
      const [head] = lanes.head(lane, 1, nowMs);
      assert.ok(head !== undefined, 'somebody without jobs is never due');
      return { lane, person: model.ownerOf(keyOf.get(head)!) };
    });
    model.judgeTaken(
      taken.map(({ person }) => person),
      limit,
      nowMs,
    );
    for (const { lane, person } of taken) {
      const jobs = model.dueLine(person, nowMs);
      assert.deepEqual(lanes.head(lane, 1000, nowMs), jobs, 'the jobs in order of acceptance');
      assert.equal(lanes.size(lane), model.line(person).length);
      open.push({ lane, holder: model.lease(person), jobs });
    }
    return taken.length;
  }

  function look(): void {
    model.judgeCounts(lanes.counts(), nowMs);
    for (const name of keys) {
      const person = model.ownerOf(name);
      if (model.isLeased(person)) continue;
      const line = model.line(person);
      assert.equal(lanes.lengthOf(person), line.length, person);
      assert.deepEqual(lanes.seqsOf(person), line, person);
      assert.equal(lanes.has(person), line.length > 0, person);
    }
    assert.equal(lanes.oldest(), model.oldest() ?? Infinity);
    const waits = model.waits();
    const next = lanes.nextDueAtMs();
    assert.ok(next === Infinity || waits.includes(next), 'somebody waits for the next time');
    for (const dueAtMs of waits) assert.ok(dueAtMs <= nowMs || next <= dueAtMs, 'nobody is due before it');
    const { people, waiting, leased, held } = lanes.counts();
    if (open.length === 0) assert.equal(lanes.ready(), people - waiting - leased - held, 'who is due now');
  }

  for (const step of path) {
    take(step);
    look();
  }
  // Nobody may be forgotten: when every lease and every wait is over, the lanes run empty.
  while (open.length > 0) take({ do: 'release', lease: 0, count: 0, afterMs: 0 });
  nowMs += 1000;
  while (lease(2) > 0) {
    while (open.length > 0) {
      take({ do: 'drop', lease: 0, count: 2, from: 0 });
      take({ do: 'release', lease: 0, count: 0, afterMs: 0 });
    }
    look();
  }
  assert.equal(lanes.nextDueAtMs(), Infinity);
}
