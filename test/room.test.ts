import t from 'tap';
import { createRoom } from '../src/ingest/room.ts';

t.test('who finds no room waits for it in line, for a while', async (t) => {
  const room = createRoom({ amount: 10, waitMs: 5 });
  const first = await room.enter(8);
  const second = room.enter(4);
  const third = room.enter(1);
  first!();
  t.ok(await second);
  t.ok(await third, 'it was not let in before the second, for which there was no room');
  t.equal(await room.enter(6), null, 'none in time');
  const alone = createRoom({ amount: 10, waitMs: 5 });
  t.ok(await alone.enter(11), 'who wants more than all of it is let in alone');
  t.equal(await alone.enter(1), null);
});

t.test('where all stay for too long, fewer are let in at a time; where they are quick, more', async (t) => {
  let nowMs = 0;
  const room = createRoom({ amount: 1600, waitMs: 0, pace: { ms: 100, least: 100 }, now: () => nowMs });
  /** How many are in it together, each of whom then stays for so long. */
  async function fill(stayMs: number): Promise<number> {
    const inside = [];
    for (let leave = await room.enter(100); leave !== null; leave = await room.enter(100)) inside.push(leave);
    nowMs += stayMs;
    for (const leave of inside) leave();
    return inside.length;
  }
  const fills = async (stayMs: number): Promise<number[]> => {
    const counts = [];
    for (let n = 0; n < 20; n += 1) counts.push(await fill(stayMs));
    return counts;
  };
  const quick = await fills(99);
  t.equal(quick[0], 4, 'it begins small');
  t.strictSame(
    quick,
    quick.toSorted((a, b) => a - b),
  );
  t.equal(quick.at(-1), 16, 'and becomes no larger than it may');
  const slow = await fills(151);
  t.strictSame(
    slow,
    slow.toSorted((a, b) => b - a),
  );
  t.equal(slow.at(-1), 1, 'and no smaller than that somebody gets in');
  t.strictSame(await fills(120), Array(20).fill(1), 'as it is right, it stays');
});
