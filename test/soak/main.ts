// `npm run soak`: SOAK_MINUTES (60) of steady load on the built service, SOAK_RATE (50) events a second, drawn from
// SOAK_SEED; ends with 1 if anything is lost, doubled, out of order, or grows. Linux.
import { isWell, report } from './report.ts';
import { soak } from './run.ts';

const minutes = Number(process.env.SOAK_MINUTES ?? 60);
const seed = Number(process.env.SOAK_SEED ?? Math.floor(Math.random() * 1e9));
const eventsPerSecond = Number(process.env.SOAK_RATE ?? 50);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(`${minutes} minutes at ${eventsPerSecond} events a second, SOAK_SEED=${seed}`);
let told = 0;
const outcome = await soak({
  minutes,
  seed,
  eventsPerSecond,
  onSample({ memoryMb, descriptors, dataMb, accepted, queued }, part) {
    if (part * 20 < told) return;
    told += 1;
    say(
      `${Math.round(part * 100)} %: ${Math.round(memoryMb)} MB of memory, ${descriptors} descriptors, ${dataMb.toFixed(1)} MB of data, ${accepted} events, ${queued} of them queued`,
    );
  },
});
report(outcome).forEach(say);
process.exitCode = isWell(outcome) ? 0 : 1;
