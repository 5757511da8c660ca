// `npm run fuzz`: FUZZ_INPUTS inputs (a million), drawn from FUZZ_SEED; prints the seed, and ends with 1 if anything is wrong.
import { fuzz } from './run.ts';

const count = Number(process.env.FUZZ_INPUTS ?? 1_000_000);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 1e9));
const startedAtMs = performance.now();
process.stdout.write(`${count} inputs, FUZZ_SEED=${seed}\n`);
const findings = await fuzz({
  count,
  seed,
  onProgress(done) {
    const seconds = (performance.now() - startedAtMs) / 1000;
    const rss = Math.round(process.memoryUsage.rss() / 1e6);
    if (done % 50_000 === 0) process.stdout.write(`${done} sent, ${Math.round(done / seconds)} a second, ${rss} MB\n`);
  },
});
const { statuses, wrong, bugs, ledger, heapMb, logLinesWrong } = findings;
process.stdout.write(`answers: ${[...statuses].map(([status, n]) => `${status} ${n}`).join(', ')}\n`);
process.stdout.write(
  `heap: ${heapMb.before.toFixed(0)} MB after the start, ${heapMb.after.toFixed(0)} MB at the end\n`,
);
process.stdout.write(`ledger: ${ledger.accepted} accepted, ${ledger.sum} accounted for; dead of a bug: ${bugs}\n`);
for (const { why, input } of wrong.slice(0, 10)) process.stdout.write(`${why}: ${describe(input)}\n`);
for (const line of logLinesWrong) process.stdout.write(`log: ${line}\n`);
const isWell = wrong.length === 0 && bugs === 0 && ledger.accepted === ledger.sum && logLinesWrong.length === 0;
process.stdout.write(isWell ? 'nothing is wrong\n' : 'something is wrong\n');
process.exitCode = isWell ? 0 : 1;

function describe(input: (typeof wrong)[number]['input']): string {
  const body = input.kind === 'bytes' ? input.bytes : input.body;
  return JSON.stringify({ ...input, body: body?.toString('latin1').slice(0, 2000), bytes: undefined });
}
