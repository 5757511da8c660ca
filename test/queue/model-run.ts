import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { lanesSteps, walkLanes } from './lanes.property.ts';
import { rightClock, wrongClock, seenSteps, walkSeen } from './seen.property.ts';
import { steps } from './steps.ts';
import { type OpenSubject, openEngineSubject, openStoreSubject } from './subjects.ts';
import { walk } from './walk.ts';

// Any sequence of calls, against a model that is simple enough to be believed. QUEUE_RUNS=10 does ten times as many
// runs; a failure names its seed and its shortest sequence.

const times = Number(process.env.QUEUE_RUNS ?? 1);
/** Also the search for the shortest sequence ends in time. */
const runs = (numRuns: number) => ({ numRuns: numRuns * times, interruptAfterTimeLimit: 30_000 * times });

t.setTimeout(240_000 * Math.max(1, times));

t.test('lanes give every person one holder at a time and the jobs in order of acceptance', async () => {
  fc.assert(fc.property(lanesSteps, walkLanes), runs(6000));
});

t.test('a messageId is found for 7 days, forgotten within 8, and memory stays bounded', async () => {
  fc.assert(
    fc.property(seenSteps(rightClock), (path) => inFolder((folder) => walkSeen(path, folder))),
    runs(60),
  );
});

t.test('a clock that is set right forgets no messageId before its time', async () => {
  fc.assert(
    fc.property(seenSteps(wrongClock), (path) => inFolder((folder) => walkSeen(path, folder))),
    runs(60),
  );
});

t.test('the store does what the contract says, over failed commits, crashes and joins of people', async () => {
  await fc.assert(queueProperty(openStoreSubject), runs(400));
});

t.test('the whole engine does what the contract says, with group commits and crashes', async () => {
  await fc.assert(queueProperty(openEngineSubject), runs(25));
});

function queueProperty(open: OpenSubject) {
  return fc.asyncProperty(steps, fc.boolean(), async (path, holdAnonymous) => {
    const folder = mkdtempSync(join(tmpdir(), 'queue-model-'));
    const subject = await open(folder, { holdAnonymous });
    try {
      await walk(subject, path, { holdAnonymous });
    } finally {
      await subject.close();
      rmSync(folder, { recursive: true });
    }
  });
}

function inFolder(work: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'queue-model-'));
  try {
    work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
