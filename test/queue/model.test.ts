import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { holds, timeoutMs } from './holds.ts';
import { steps } from './steps.ts';
import { type OpenSubject, openEngineSubject, openStoreSubject } from './subjects.ts';
import { walk } from './walk.ts';

// Any sequence of enqueues, leases, settles, retries, joins, redrives, failed commits, crashes and reopenings, against
// a model that is simple enough to be believed.

t.setTimeout(timeoutMs);

t.test('the store does what the contract says, over failed commits, crashes and joins of people', (t) =>
  holds(t, queueProperty(openStoreSubject), { runs: 400, seconds: 24 }),
);

t.test('the whole engine does what the contract says, with group commits and crashes', (t) =>
  holds(t, queueProperty(openEngineSubject), { runs: 25, seconds: 14 }),
);

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
