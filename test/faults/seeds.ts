import type { Test } from 'tap';
import { runSeed, type Stage } from './run.ts';

const given = process.env.FAULT_SEED;
const firstSeed = Number(given ?? Date.now() % 1_000_000);
const atOnce = 8;

/** Draws new seeds in every run. FAULT_SEEDS=500 draws more of them, FAULT_SEED=n repeats one. */
export async function judgeSeeds(t: Test, usualRounds: number, openStage?: () => Promise<Stage>): Promise<void> {
  const rounds = given === undefined ? Number(process.env.FAULT_SEEDS ?? usualRounds) : 1;
  t.comment(`FAULT_SEED=${firstSeed} and the ${rounds - 1} after it`);
  const waiting = Array.from({ length: rounds }, (_, n) => firstSeed + n).values();
  let faults = 0;
  let acknowledged = 0;

  // Most of the time is spent waiting for retries, so that several go at once.
  await Promise.all(
    Array.from({ length: Math.min(atOnce, rounds) }, async () => {
      for (const seed of waiting) {
        const verdict = await runSeed(t, seed, await openStage?.());
        faults += verdict.faults;
        acknowledged += verdict.acknowledged;
        t.strictSame(
          verdict.objections,
          [],
          `FAULT_SEED=${seed}: ${verdict.faults} faults, ${Math.round(verdict.ms)} ms`,
        );
      }
    }),
  );
  t.comment(`${acknowledged} events acknowledged, ${faults} faults struck`);
}
