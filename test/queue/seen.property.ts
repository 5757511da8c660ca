import assert from 'node:assert/strict';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { type Database, openDatabase, schema } from '../../src/queue/sqlite/database.ts';
import { openSeen } from '../../src/queue/sqlite/seen.ts';

/**
 * The window of messageIds against a map: what was added in the last 7 days is found, what is a day older is
 * forgotten once all is tidied up, and memory holds no more than its limit and what came since.
 */
export type SeenStep =
  | { do: 'add'; ids: number[] }
  | { do: 'tidy' | 'commit' | 'rollback' | 'reopen' }
  | { do: 'pass'; hours: number; skewHours: number };

export const hotLimit = 8;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Time goes on by up to some days in one step. */
const hours = fc.constantFrom(0, 1, 5, 23, 24, 25, 60);

export const seenSteps = (skewHours: fc.Arbitrary<number>): fc.Arbitrary<SeenStep[]> =>
  fc.array(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('add' as const),
          ids: fc.array(fc.nat(60), { minLength: 1, maxLength: 12 }),
        }),
      },
      { weight: 4, arbitrary: fc.record({ do: fc.constant('pass' as const), hours, skewHours }) },
      {
        weight: 12,
        arbitrary: fc.record({
          do: fc.constantFrom(
            'tidy' as const,
            'tidy' as const,
            'tidy' as const,
            'commit' as const,
            'commit' as const,
            'rollback' as const,
            'reopen' as const,
          ),
        }),
      },
    ),
    { minLength: 1, maxLength: 60, size: 'max' },
  );

/** A clock that was behind for a while, and is set right again. */
export const rightClock = fc.constant(0);
export const wrongClock = fc.constantFrom(0, 0, -30, -250);

/** What is accepted under a wrong clock is kept by that clock, and so nothing is certain of it. */
type Memory = { seq: number; atMs: number; isCertain: boolean };

export function walkSeen(path: SeenStep[], folder: string): void {
  const file = join(folder, 'seen.db');
  let db = open();
  let seen = openSeen(db, hotLimit);
  let nowMs = 1_800_000_000_000;
  let trueMs = nowMs;
  let seq = 0;
  let kept = new Map<number, Memory>();
  let pending = new Map<number, Memory>();

  function open(): Database {
    const opened = openDatabase(file);
    opened.exec('PRAGMA synchronous = OFF'); // of no account here, and slow
    opened.exec(schema);
    opened.exec('BEGIN IMMEDIATE');
    return opened;
  }

  function end(how: 'COMMIT' | 'ROLLBACK'): void {
    db.exec(how);
    if (how === 'COMMIT') {
      seen.commit();
      kept = new Map([...kept, ...pending]);
    } else {
      seen.rollback();
      // Given again, as the store does it.
      for (const memory of pending.values()) seq = Math.min(seq, memory.seq - 1);
    }
    pending = new Map();
    db.exec('BEGIN IMMEDIATE');
  }

  function take(step: SeenStep): void {
    if (step.do === 'add') for (const id of step.ids) add(id);
    else if (step.do === 'pass') {
      trueMs += step.hours * hourMs;
      nowMs = trueMs + step.skewHours * hourMs;
    } else if (step.do === 'tidy') {
      end('COMMIT'); // forgetting has a transaction of its own
      seen.tidy(nowMs);
    } else if (step.do === 'commit') end('COMMIT');
    else if (step.do === 'rollback') end('ROLLBACK');
    else {
      end('COMMIT');
      db.close();
      db = open();
      seen = openSeen(db, hotLimit);
    }
  }

  function add(id: number): void {
    if (seen.find('a', `m${id}`) !== undefined) return;
    seq += 1;
    seen.add('a', `m${id}`, seq, nowMs);
    pending.set(id, { seq, atMs: trueMs, isCertain: nowMs === trueMs });
  }

  function look(): void {
    for (const [id, { seq: known, atMs, isCertain }] of new Map([...kept, ...pending])) {
      const found = seen.find('a', `m${id}`);
      if (isCertain && trueMs - atMs <= 7 * dayMs)
        assert.equal(found, known, `m${id}, ${(trueMs - atMs) / hourMs} hours old`);
      else assert.ok(found === undefined || found === known, `m${id}`);
    }
    assert.equal(seen.find('b', 'm0'), undefined, 'each installation has its own');
  }

  for (const step of path) {
    take(step);
    look();
  }

  end('COMMIT');
  nowMs = trueMs;
  while (seen.tidy(nowMs)) end('COMMIT');
  end('COMMIT');
  look();
  const hot = Number(db.prepare('SELECT count(*) AS n FROM seen_recent').get()?.n);
  assert.ok(hot <= hotLimit, `${hot} are in memory`);
  const memories = [...kept.values()];
  const young = memories.filter(({ atMs }) => trueMs - atMs <= 7 * dayMs).length;
  if (memories.every(({ isCertain }) => isCertain))
    assert.ok(hot >= Math.min(hotLimit, young), `only ${hot} are in memory`);
  nowMs = trueMs + 8 * dayMs;
  while (seen.tidy(nowMs)) end('COMMIT');
  end('COMMIT');
  for (const id of kept.keys()) assert.equal(seen.find('a', `m${id}`), undefined, `m${id} is forgotten in the end`);
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE name GLOB 'seen_day_*'").all();
  assert.deepEqual(tables, [], 'no table of a day is left');
  db.exec('COMMIT');
  db.close();
}
