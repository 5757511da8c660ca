import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { lanesSteps, walkLanes } from './lanes.property.ts';
import { rightClock, wrongClock, seenSteps, walkSeen } from './seen.property.ts';

// Any sequence of calls, against a model that is simple enough to be believed. QUEUE_RUNS=10 does ten times as many
// runs; a failure names its seed and its shortest sequence.

const times = Number(process.env.QUEUE_RUNS ?? 1);
/** Also the search for the shortest sequence ends in time. */
const runs = (numRuns: number) => ({ numRuns: numRuns * times, interruptAfterTimeLimit: 30_000 * times });

t.setTimeout(240_000 * Math.max(1, times));

t.test('lanes give every person one holder at a time and the jobs in order of acceptance', async (t) => {
  fc.assert(fc.property(lanesSteps, walkLanes), runs(6000));
  t.pass('no sequence contradicts the model');
});

t.test('a messageId is found for 7 days, forgotten within 8, and memory stays bounded', async (t) => {
  fc.assert(
    fc.property(seenSteps(rightClock), (path) => inFolder((folder) => walkSeen(path, folder))),
    runs(60),
  );
  t.pass('no sequence contradicts the model');
});

t.test('a clock that is set right forgets no messageId before its time', async (t) => {
  fc.assert(
    fc.property(seenSteps(wrongClock), (path) => inFolder((folder) => walkSeen(path, folder))),
    runs(60),
  );
  t.pass('no sequence contradicts the model');
});

function inFolder(work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'queue-model-'));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
