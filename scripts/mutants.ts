// `npm run mutants`: makes one small mistake after the other in the rules that decide (a condition turned round, a
// number moved, a line left out), and tells which of them no test notices. `npm run mutants -- outcome queue` takes
// these groups alone, `npm run mutants -- mapping src/intercom/money.ts:20-40` these lines.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { Stryker } from '@stryker-mutator/core';

/** Each group with the fastest tests that have to notice. What is random in them may let a mutant live now and then. */
const groups: Record<string, { mutate: string[]; tests: string[] }> = {
  consent: {
    mutate: ['src/ingest/consent.ts', 'src/ingest/consent-policy.ts'],
    tests: ['test/consent-rules.test.ts'],
  },
  outcome: {
    mutate: ['src/intercom/outcome.ts', 'src/dispatch/retry.ts'],
    tests: ['test/outcome.test.ts', 'test/retry.test.ts'],
  },
  queue: {
    mutate: ['kinship', 'fingerprint', 'turns', 'event-id'].map((name) => `src/queue/${name}.ts`),
    tests: ['test/queue/rules.test.ts'],
  },
  lanes: {
    mutate: ['lanes', 'lane-sets', 'retry-heap'].map((name) => `src/queue/sqlite/${name}.ts`),
    tests: ['test/queue/lanes.test.ts'],
  },
  mapping: {
    mutate: [
      'mapping',
      'mapping-rules',
      'contact',
      'company',
      'traits',
      'phone',
      'unified-property',
      'metadata',
      'metadata-value',
      'attribute-value',
      'flatten',
      'product-lines',
      'money',
      'monetary-amount',
      'currency',
      'event-catalog',
      'event-name',
      'spelling',
      'warning',
    ].map((name) => `src/intercom/${name}.ts`),
    tests: ['test/mapping-values.test.ts', 'test/mapping.test.ts'],
  },
};

const leastPercent = 85;
const arguments_ = process.argv.slice(2);
const places = arguments_.filter((argument) => argument.includes('/'));
const names = arguments_.filter((argument) => !argument.includes('/'));

process.env.MODEL_RUNS ??= '0.2'; // sequences against a model: a wrong line seldom needs thousands

for (const name of names.length > 0 ? names : Object.keys(groups)) {
  const group = groups[name];
  if (!group) throw new Error(`no group ${name}; there are ${Object.keys(groups).join(', ')}`);
  process.env.MUTANTS_TESTS = group.tests.join(' '); // for the process that runs them
  const stryker = new Stryker({
    testRunner: 'one-process',
    mutate: places.length > 0 ? places : group.mutate,
    concurrency: Math.max(1, Math.floor(availableParallelism() / 2)),
    ignorePatterns: ['bench', 'deploy', 'dist', 'docs/screenshots'],
    timeoutMS: 2000,
    plugins: [import.meta.resolve('./mutants-runner.ts')],
    coverageAnalysis: 'perTest',
    maxTestRunnerReuse: 100, // whose modules are never given back
    reporters: ['dots'],
    warnings: false,
    allowConsoleColors: false,
  });
  report(name, await stryker.runMutationTest());
}

type Mutant = Awaited<ReturnType<Stryker['runMutationTest']>>[number];

function report(name: string, mutants: Mutant[]): void {
  const survivors = mutants.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  for (const { fileName, location, mutatorName, replacement } of survivors) {
    const { start, end } = location;
    const lines = readFileSync(fileName, 'utf8')
      .split('\n')
      .slice(start.line - 1, end.line);
    lines[lines.length - 1] = lines.at(-1)!.slice(0, end.column - 1);
    const [before, after] = [lines.join('\n').slice(start.column - 1), replacement].map((code) =>
      JSON.stringify(code.replaceAll(/\s+/g, ' ')).slice(0, 160),
    );
    const place = `${fileName.slice(process.cwd().length + 1)}:${start.line}:${start.column}`;
    process.stdout.write(`${place} ${mutatorName}: ${before} → ${after}\n`);
  }
  const errors = mutants.filter(({ status }) => status.endsWith('Error')).length;
  const tried = mutants.length - errors;
  const percent = (100 * (tried - survivors.length)) / tried;
  process.stdout.write(`${name}: ${tried - survivors.length} of ${tried} mutants killed, ${percent.toFixed(1)} %\n`);
  if (percent < leastPercent || errors > 0) process.exitCode = 1;
}
