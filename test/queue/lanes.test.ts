import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import t from 'tap';
import { createLaneSets } from '../../src/queue/sqlite/lane-sets.ts';
import { createLanes } from '../../src/queue/sqlite/lanes.ts';
import { createRetryHeap } from '../../src/queue/sqlite/retry-heap.ts';
import { holds, timeoutMs } from './holds.ts';
import { lanesSteps, walkLanes } from './lanes.property.ts';

t.setTimeout(timeoutMs);

t.test('thousands of people are leased in the order in which they came, each with its own jobs', async (t) => {
  const people = Array.from({ length: 5000 }, (_, n) => `a/user:${n}`);
  const lanes = createLanes();
  for (const [n, person] of people.entries()) lanes.add(person, n, false);
  for (const [n, person] of people.entries()) lanes.add(person, people.length + n, false);
  t.match(lanes.counts(), { jobs: 10_000, people: 5000, waiting: 0, leased: 0, held: 0 });
  t.equal(lanes.ready(), 5000);
  const taken = lanes.take(0, 6000);
  t.strictSame(
    taken.map((lane) => lanes.head(lane, 9, 0)),
    people.map((_, n) => [n, people.length + n]),
  );
  // Every second one is done with, and comes back with new jobs: its place is used again.
  for (const [n, lane] of taken.entries()) {
    lanes.drop(lane, n);
    if (n % 2 === 0) lanes.drop(lane, people.length + n);
    lanes.release(lane);
  }
  t.match(lanes.counts(), { jobs: 2500, people: 2500, leased: 0 });
  for (const [n, person] of people.entries()) {
    assert.equal(lanes.has(person), n % 2 === 1);
    if (n % 2 === 0) lanes.add(person, 20_000 + n, false);
  }
  t.match(lanes.counts(), { jobs: 5000, people: 5000 });
  for (const [n, person] of people.entries())
    assert.deepEqual(lanes.seqsOf(person), [n % 2 === 0 ? 20_000 + n : people.length + n]);
  t.equal(lanes.oldest(), people.length + 1);
});

t.test('two thousand leads become one user, in order of acceptance', async (t) => {
  const lanes = createLanes();
  const numbers = Array.from({ length: 2000 }, (_, n) => n);
  for (const n of numbers) lanes.add(`a/email:${n}`, n, false);
  for (const n of numbers) lanes.add(`a/email:${n}`, 2000 + n, false);
  for (const n of numbers.toReversed()) lanes.join(`a/email:${n}`, 'a/user:1');
  t.match(lanes.counts(), { jobs: 4000, people: 1 });
  t.strictSame(lanes.seqsOf('a/user:1'), [...numbers, ...numbers.map((n) => 2000 + n)]);
  t.equal(lanes.ready(), 1);
});

t.test('what was never there is not found, and to take it out changes nothing', async (t) => {
  const lanes = createLanes();
  lanes.add('a/user:1', 1, false);
  lanes.discard('a/user:2', 1);
  lanes.discard('a/user:1', 1); // who is not held has none to discard
  lanes.remove('a/user:2', 1);
  lanes.join('a/email:1', 'a/user:1');
  lanes.join('a/user:1', 'a/user:1');
  t.match(lanes.counts(), { jobs: 1, people: 1 });
  t.strictSame(lanes.seqsOf('a/user:2'), []);
  t.equal(lanes.lengthOf('a/user:2'), 0);
  t.equal(lanes.oldest(), 1);
  t.equal(createLanes().oldest(), Infinity);
});

t.test('a line that is emptied while it is due, or leased, is gone when it is given back', async (t) => {
  const lanes = createLanes();
  lanes.add('a/user:1', 1, false);
  lanes.add('a/user:2', 2, false);
  lanes.remove('a/user:1', 1);
  const [first, second] = lanes.take(0, 2);
  t.strictSame(lanes.head(first!, 9, 0), []);
  lanes.release(first!);
  t.equal(lanes.has('a/user:1'), false);
  lanes.remove('a/user:2', 2);
  t.match(lanes.counts(), { jobs: 0, people: 1, leased: 1 });
  lanes.release(second!);
  t.match(lanes.counts(), { jobs: 0, people: 0, leased: 0 });
  lanes.add('a/user:3', 3, false);
  lanes.add('a/user:3', 4, false, 100);
  lanes.remove('a/user:3', 3);
  const [third] = lanes.take(0, 2);
  t.strictSame(lanes.head(third!, 9, 0), [], 'what is left of it waits');
  lanes.release(third!);
  t.match(lanes.counts(), { jobs: 1, people: 1, waiting: 1 });
  t.equal(lanes.nextDueAtMs(), 100);
});

t.test(
  'a line that waits for a lease hands its wait on, and leaves nothing of it to who comes to its place',
  async (t) => {
    const lanes = createLanes();
    const taken = (): number[][] => lanes.take(0, 9).map((lane) => lanes.head(lane, 9, 0));
    lanes.add('a/email:1', 1, false);
    const [first] = lanes.take(0, 1);
    lanes.add('a/email:2', 2, false);
    lanes.join('a/email:1', 'a/email:2');
    lanes.add('a/email:3', 3, false);
    const [third] = lanes.take(0, 9);
    t.strictSame(lanes.head(third!, 9, 0), [3], 'the second waits for the first');
    lanes.add('a/user:9', 4, false);
    lanes.join('a/email:3', 'a/user:9');
    lanes.join('a/email:2', 'a/user:1');
    t.strictSame(taken(), [], 'and whoever it becomes part of does');
    lanes.release(first!);
    t.strictSame(taken(), [[1, 2]]);
    lanes.release(third!);
    t.strictSame(taken(), [[3, 4]], 'each joins the one that it was joined to');
    for (const n of [5, 6, 7, 8]) lanes.add(`a/user:new ${n}`, n, false);
    for (const lane of lanes.take(0, 9)) lanes.release(lane);
    t.strictSame(taken(), [[5], [6], [7], [8]], 'given back, they are due as before');
  },
);

t.test('a line that waits for two leases waits for both, whoever else is joined to it meanwhile', async (t) => {
  const lanes = createLanes();
  for (const n of [1, 2, 3]) lanes.add(`a/email:${n}`, n, false);
  const [first, second] = lanes.take(0, 2);
  lanes.join('a/email:1', 'a/user:1');
  lanes.join('a/email:1', 'a/user:1'); // once is enough
  lanes.join('a/email:2', 'a/user:1');
  lanes.release(first!);
  lanes.join('a/email:3', 'a/user:1');
  t.strictSame(lanes.take(0, 9), []);
  lanes.release(second!);
  const [last] = lanes.take(0, 9);
  t.strictSame(lanes.head(last!, 9, 0), [1, 2, 3]);
});

t.test('what comes back to a visitor waits for the login, too', async (t) => {
  const lanes = createLanes();
  lanes.insert('a/anon:1', 7, true);
  t.match(lanes.counts(), { jobs: 1, held: 1 });
  t.equal(lanes.oldest(), Infinity);
  t.strictSame(lanes.take(0, 1), []);
  lanes.join('a/anon:1', 'a/user:1');
  t.match(lanes.counts(), { jobs: 1, held: 0 });
  t.equal(lanes.oldest(), 7);
  t.equal(lanes.take(0, 1).length, 1);
});

t.test('lanes give every person one holder at a time and the jobs in order of acceptance', (t) =>
  holds(t, fc.property(lanesSteps, walkLanes), { runs: 6000, seconds: 30 }),
);

t.test('the retry heap gives the earliest first, whatever comes in between', (t) =>
  holds(
    t,
    fc.property(fc.array(fc.option(fc.nat(50)), { maxLength: 60 }), (steps) => {
      const heap = createRetryHeap();
      const sorted: number[] = [];
      for (const [lane, dueAtMs] of [...steps, ...steps.map(() => null)].entries()) {
        if (dueAtMs !== null) {
          heap.push(lane, dueAtMs);
          sorted.push(dueAtMs);
          sorted.sort((a, b) => a - b);
        } else if (sorted.length > 0) {
          const top = heap.peek();
          assert.equal(top.dueAtMs, sorted.shift());
          assert.equal(steps[top.lane], top.dueAtMs, 'with the lane that it came with');
          heap.pop();
        }
        assert.equal(heap.size(), sorted.length);
      }
    }),
    { runs: 300, seconds: 10 },
  ),
);

t.test('each installation has lanes of its own, and the sums are those of all', async (t) => {
  const sets = createLaneSets();
  t.strictSame(sets.counts(), { jobs: 0, people: 0, waiting: 0, leased: 0, held: 0 });
  t.equal(sets.oldest(null), Infinity);
  t.equal(sets.nextDueAtMs(), Infinity);
  sets.of('a/user:1').add('a/user:1', 7, false);
  sets.of('a/user:1').add('a/user:1', 8, false);
  sets.of('a/user:2').add('a/user:2', 9, false, 500);
  sets.of('a/anon:3').add('a/anon:3', 3, true);
  sets.of('b/user:1').add('b/user:1', 5, false, 300);
  sets.of('b/user:9').add('b/user:9', 6, false);
  sets.in('b').take(0, 1);
  t.equal(sets.of('a/user:1'), sets.in('a'), 'a person is in the lanes of its installation');
  t.strictSame(sets.counts(), { jobs: 6, people: 5, waiting: 2, leased: 1, held: 1 });
  t.strictSame(sets.queues(), [
    { installation: 'a', queued: 4, ready: 1 },
    { installation: 'b', queued: 2, ready: 0 },
  ]);
  t.equal(sets.oldest('a'), 7);
  t.equal(sets.oldest('b'), 5);
  t.equal(sets.oldest(null), 5);
  t.equal(sets.nextDueAtMs(), 300);
  sets.forget('b');
  t.equal(sets.nextDueAtMs(), 500);
  t.strictSame(sets.counts(), { jobs: 4, people: 3, waiting: 1, leased: 0, held: 1 });
});
