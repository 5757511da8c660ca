// `npm run bench`: measures the built service on this machine. docs/benchmarks.md says what and how.
//   node bench/run.ts [--quick] [ingest batch latency calls drain quota start] [backlog] [consoles] [growth] [generators] [overload] [replicas] [shared-backlog] [shared-quota] [takeover]
import { statfs } from 'node:fs/promises';
import type { Bench } from './bench.ts';
import { benchFolder, createStage } from './processes.ts';
import { createReport } from './report.ts';
import { backlog, sharedBacklog } from './scenarios/backlog.ts';
import { batch } from './scenarios/batch.ts';
import { calls } from './scenarios/calls.ts';
import { consoles } from './scenarios/consoles.ts';
import { drain } from './scenarios/drain.ts';
import { generators } from './scenarios/generators.ts';
import { growth } from './scenarios/growth.ts';
import { ingest } from './scenarios/ingest.ts';
import { latency } from './scenarios/latency.ts';
import { overload } from './scenarios/overload.ts';
import { quota } from './scenarios/quota.ts';
import { replicas, sharedQuota } from './scenarios/replicas.ts';
import { start } from './scenarios/start.ts';
import { takeover } from './scenarios/takeover.ts';

const usual = { ingest, batch, latency, calls, drain, quota, start };
const onlyByName = {
  backlog,
  consoles,
  generators,
  growth,
  overload,
  replicas,
  'shared-backlog': sharedBacklog,
  'shared-quota': sharedQuota,
  takeover,
};
const scenarios: Record<string, (bench: Bench) => Promise<void>> = { ...usual, ...onlyByName };

const options = process.argv.slice(2).filter((word) => word.startsWith('-'));
const named = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const unknown = [
  ...named.filter((name) => !Object.hasOwn(scenarios, name)),
  ...options.filter((option) => option !== '--quick'),
];
if (unknown.length > 0) {
  process.stderr.write(
    `There is no ${unknown.join(', ')}. Scenarios: ${Object.keys(scenarios).join(' ')}; option: --quick\n`,
  );
  process.exit(1);
}

const stage = createStage();
const report = createReport((line) => process.stdout.write(`${line}\n`));
const bench: Bench = { stage, report, quick: options.includes('--quick') };

// By Ctrl+C, too, nothing is left behind.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    void stage.clear().finally(() => process.exit(1));
  });
}

if (bench.quick) report.note('--quick: short rounds, not to be compared with targets');
const tmpfs = 0x01021994;
if ((await statfs(benchFolder)).type === tmpfs) {
  report.note(`${benchFolder} lies in memory, where nothing is durable: set BENCH_FOLDER to a folder on a disk`);
}
try {
  for (const name of named.length > 0 ? named : Object.keys(usual)) await scenarios[name]?.(bench);
} catch (error) {
  if (!interrupted) {
    process.stderr.write(
      `\nThe bench stopped, and its figures are void: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  }
} finally {
  await stage.clear();
}
if (process.exitCode === undefined && !interrupted)
  process.stdout.write(`\nAll figures, one JSON line each: ${report.write()}\n`);
