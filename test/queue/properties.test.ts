import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import t from 'tap';
import { holds, timeoutMs } from './holds.ts';
import { rightClock, wrongClock, seenSteps, walkSeen } from './seen.property.ts';

// Any sequence of calls, against a model that is simple enough to be believed.

t.setTimeout(timeoutMs);

t.test('a messageId is found for 7 days, forgotten within 8, and memory stays bounded', (t) =>
  holds(t, seenProperty(rightClock), { runs: 60, seconds: 30 }),
);

t.test('a clock that is set right forgets no messageId before its time', (t) =>
  holds(t, seenProperty(wrongClock), { runs: 60, seconds: 30 }),
);

function seenProperty(clock: Parameters<typeof seenSteps>[0]) {
  return fc.property(seenSteps(clock), (path) => {
    const folder = mkdtempSync(join(tmpdir(), 'queue-model-'));
    try {
      walkSeen(path, folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
