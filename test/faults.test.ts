import t from 'tap';
import { runSeed } from './faults/run.ts';

const rounds = Number(process.env.FAULT_SEEDS ?? 50);
const given = process.env.FAULT_SEED;
const firstSeed = Number(given ?? Date.now() % 1_000_000);
const atOnce = 8;

const seeds = Array.from({ length: given === undefined ? rounds : 1 }, (_, n) => firstSeed + n);

t.test(`under ${seeds.length} drawn mixes of faults every promise is kept`, async (t) => {
  t.comment(`FAULT_SEED=${firstSeed} and the ${seeds.length - 1} after it`);
  const waiting = seeds.values();
  let faults = 0;
  let acknowledged = 0;

  // Most of the time is spent waiting for retries, so that several go at once.
  await Promise.all(
    Array.from({ length: Math.min(atOnce, seeds.length) }, async () => {
      for (const seed of waiting) {
        const verdict = await runSeed(t, seed);
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
});
