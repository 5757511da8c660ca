import t from 'tap';
import { fuzz } from './fuzz/run.ts';

const count = Number(process.env.FUZZ_INPUTS ?? 20_000);
const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 1e9));

t.test(`whatever is sent is answered, by no 5xx, and leaves the memory flat (FUZZ_SEED=${seed})`, async (t) => {
  const { sent, wrong, bugs, ledger, heapMb, logLinesWrong, statuses } = await fuzz({ count, seed, withinMs: 90_000 });
  t.strictSame(
    wrong
      .slice(0, 5)
      .map(({ why, input }) => [why, String('body' in input ? input.body : input.bytes).slice(0, 500), input]),
    [],
  );
  t.comment(`${sent} inputs`);
  t.equal(bugs, 0, 'no event died of a bug');
  t.equal(ledger.sum, ledger.accepted, 'the ledger balances');
  t.strictSame(logLinesWrong, []);
  t.ok(heapMb.after - heapMb.before < 60, `${heapMb.before.toFixed(0)} MB, then ${heapMb.after.toFixed(0)} MB`);
  for (const status of [200, 202, 207, 400, 404, 415])
    t.ok((statuses.get(status) ?? 0) > 20, `${status} is among the answers`);
});
