import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import t from 'tap';
import { QueueUnavailable } from '../../src/queue/queue.ts';
import { createGroups } from '../../src/queue/sqlite/groups.ts';
import type { Op, Result } from '../../src/queue/sqlite/protocol.ts';
import { newEvent } from './new-events.ts';

// What goes to the writer thread together, and when. The thread is played by the test.

function thread() {
  const told: Op[][] = [];
  const groups = createGroups((ops) => void told.push(ops));
  return {
    groups,
    /** How many were handed over, group by group. */
    sizes: () => told.map(({ length }) => length),
    keep: (many: number) => Array.from({ length: many }, (_, n) => groups.ask(enqueue(`m-${n}`), 100)),
    /** The oldest group is done: each op is answered with its own place in it. */
    done(nth: number) {
      const results = told[nth]!.map((_, index): Result => ({ ok: true, value: [`${nth}.${index}`] as never }));
      groups.finish(results, () => {});
    },
  };
}

const enqueue = (messageId: string): Op & { kind: 'enqueue' } => ({
  kind: 'enqueue',
  events: [newEvent('user:u', messageId)],
});
const erase: Op = { kind: 'erase', installation: 'main', key: 'user:u', messageId: 'e' };

t.test('what the event loop reads in one turn goes out together', async (t) => {
  const { keep, sizes } = thread();
  void keep(3);
  t.same(sizes(), [], 'not before it has read all of it');
  await turnOfTheLoop();
  t.same(sizes(), [3]);
});

t.test('sixteen are worth a group at once, and one more group waits at the thread while it works', async (t) => {
  const { keep, sizes, done } = thread();
  void keep(16);
  t.same(sizes(), [16], 'before the loop has read the others');
  void keep(16);
  t.same(sizes(), [16, 16], 'the thread finds them when it is done');
  void keep(40);
  await turnOfTheLoop();
  t.same(sizes(), [16, 16], 'what comes meanwhile becomes one group');
  done(0);
  t.same(sizes(), [16, 16, 40]);
});

t.test('a few wait for the end of the group that is under way', async (t) => {
  const { keep, sizes, done } = thread();
  void keep(16);
  void keep(2);
  await turnOfTheLoop();
  t.same(sizes(), [16]);
  done(0);
  t.same(sizes(), [16, 2]);
});

t.test('each asker gets its own answer, whichever group it was in', async (t) => {
  const { keep, done } = thread();
  const asked = [...keep(16), ...keep(16)];
  done(0);
  done(1);
  const answers = await Promise.all(asked);
  t.same(
    answers.flat(),
    [0, 1].flatMap((group) => Array.from({ length: 16 }, (_, n) => `${group}.${n}`)),
  );
});

t.test('an erasure has a group of its own, after what was asked before it', async (t) => {
  const { groups, keep, sizes, done } = thread();
  void keep(2);
  void groups.ask(erase);
  void keep(3);
  await turnOfTheLoop();
  t.same(sizes(), [2]);
  done(0);
  done(1);
  t.same(sizes(), [2, 1, 3]);
});

t.test('a group is no larger than one transaction should be', async (t) => {
  const { groups, keep, sizes } = thread();
  void keep(16);
  void groups.ask(enqueue('large'), 1_500_000);
  void groups.ask(enqueue('larger'), 1_500_000);
  void keep(1500);
  t.same(sizes(), [16, 1], 'two that are too large together');
});

t.test('what waits in memory is bounded, the groups under way included', async (t) => {
  const { groups, keep, done } = thread();
  void keep(16);
  t.equal(groups.hasRoom(10_000 - 16, 1), true);
  t.equal(groups.hasRoom(10_000 - 15, 1), false);
  t.equal(groups.hasRoom(1, 32_000_000), false);
  done(0);
  t.equal(groups.hasRoom(10_000, 32_000_000), true, 'what is answered takes none');
});

t.test('when the thread breaks, all who wait are told, and nothing is left over', async (t) => {
  const { groups, keep, sizes } = thread();
  const asked = [...keep(16), ...keep(16), ...keep(5)];
  const idle = groups.idle();
  t.equal(await Promise.race([idle, turnOfTheLoop('busy')]), 'busy');
  groups.fail('disk I/O error');
  for (const one of asked) {
    const error: unknown = await one.catch((reason: unknown) => reason);
    t.ok(error instanceof QueueUnavailable && error.message.includes('disk I/O error'));
  }
  await idle;
  t.equal(groups.hasRoom(10_000, 32_000_000), true);
  void keep(1);
  await turnOfTheLoop();
  t.same(sizes(), [16, 16, 1], 'the next thread gets what comes after it, alone');
});
