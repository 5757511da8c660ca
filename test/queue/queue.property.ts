import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { steps } from './steps.ts';
import type { OpenSubject } from './subjects.ts';
import { walk } from './walk.ts';

/** Any sequence of steps, in a folder of its own, against the model. */
export function queueProperty(open: OpenSubject) {
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
