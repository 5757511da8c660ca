import * as fc from 'fast-check';
import type { Test } from 'tap';

const times = Number(process.env.MODEL_RUNS ?? 1);
const { MODEL_SEED: seed, MODEL_PATH: path } = process.env;

/** Enough for all properties of a file, and for the search for the shortest sequence. */
export const timeoutMs = 240_000 * Math.max(1, times);

/**
 * Judges a property by sequences that are new in every run. MODEL_RUNS=10 tries ten times as many; a failure tells
 * its shortest sequence, and the MODEL_SEED that repeats it. A slow machine tries fewer: the time is bounded.
 */
export async function holds<Ts>(
  t: Test,
  property: fc.IRawProperty<Ts>,
  limits: { runs: number; seconds: number },
): Promise<void> {
  const run = await fc.check(property, {
    numRuns: limits.runs * times,
    interruptAfterTimeLimit: limits.seconds * 1000 * times,
    ...(seed && { seed: Number(seed) }),
    ...(path && { path, endOnFailure: true }),
  });
  if (run.failed) {
    const again = `MODEL_SEED=${run.seed} repeats it, MODEL_PATH=${run.counterexamplePath} its shortest sequence alone`;
    throw new Error(`${again}. ${fc.defaultReportMessage(run)}`, { cause: run.errorInstance });
  }
  t.pass(`${run.numRuns} sequences agree`);
}
