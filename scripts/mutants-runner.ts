// Runs tests for `npm run mutants` within one process, so that a mutant costs what the tests that reach it take, and no
// start of Node: for each mutant the project's own modules are loaded anew, with the mutant in them from their first
// line on; tap and all other packages stay.
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { INSTRUMENTER_CONSTANTS, type MutantCoverage } from '@stryker-mutator/api/core';
import { declareFactoryPlugin, PluginKind, tokens } from '@stryker-mutator/api/plugin';
import {
  determineHitLimitReached,
  type DryRunResult,
  DryRunStatus,
  type TestResult,
  type TestRunner,
  TestStatus,
  toMutantRunResult,
} from '@stryker-mutator/api/test-runner';
import { configureGlobal } from 'fast-check';
import type { Test } from 'tap';

const tap = await quietly(async () => {
  const loaded = await import('tap');
  loaded.t.setTimeout(0); // its own root stays without tests
  return loaded;
});

/** tap tells its parent process about its time limit, and Stryker takes every message for one of its own. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { send } = process;
  delete process.send;
  try {
    return await work();
  } finally {
    if (send) process.send = send;
  }
}

configureGlobal({ seed: 1 }); // what is killed by chance is killed by the same one in every run

/** What the mutated code looks at, and writes down; Stryker's own names. */
const state: {
  activeMutant?: string | undefined;
  currentTestId?: string | undefined;
  hitCount?: number | undefined;
  hitLimit?: number | undefined;
  mutantCoverage?: MutantCoverage;
} = {};
Object.assign(globalThis, { [INSTRUMENTER_CONSTANTS.NAMESPACE]: state });

/** The present run: part of the address of each module, so that the next run has modules of its own. */
let run = 0;
/** What the test files of the present run import as tap. */
let root: Pick<Test, 'test' | 'teardown' | 'setTimeout'>;
Object.defineProperty(globalThis, 'rootOfMutantRun', { get: () => root });

const sources = new Map<string, string>();

registerHooks({
  resolve(specifier, context, next) {
    const isOwn = /\.ts\?run=/.test(context.parentURL ?? '');
    if (isOwn && specifier === 'tap') return { url: `mutants:tap?run=${run}`, format: 'module', shortCircuit: true };
    const found = next(specifier, context);
    return isOwn && specifier.startsWith('.') ? { ...found, url: `${found.url}?run=${run}` } : found;
  },
  load(url, context, next) {
    if (url.startsWith('mutants:tap'))
      return { format: 'module', source: 'export default globalThis.rootOfMutantRun;', shortCircuit: true };
    return /\.ts\?run=/.test(url)
      ? { format: 'module', source: stripped(url), shortCircuit: true }
      : next(url, context);
  },
});

/** Without its types, which costs more than to run it; once for all runs. */
function stripped(url: string): string {
  const path = fileURLToPath(url);
  const source = sources.get(path) ?? stripTypeScriptTypes(readFileSync(path, 'utf8'));
  sources.set(path, source);
  return source;
}

/** Those of the tests that are asked for, one after the other; when a mutant is there, until one fails. */
async function test(files: string[], wanted?: Set<string>): Promise<DryRunResult> {
  run += 1;
  const all = new tap.Test({ name: 'root' }) as Test;
  const results: TestResult[] = [];
  let output = '';
  const ended = new Promise((resolve) => {
    all.on('data', (text) => (output += text));
    all.on('end', () => resolve(null));
  });
  root = {
    setTimeout: () => {},
    teardown: (work) => all.teardown(work),
    test: Object.assign((name: string, work: (t: Test) => unknown) => {
      const id = `${results.length} ${name}`;
      const result = { id, name, timeSpentMs: 0 };
      const index = results.push({ ...result, status: TestStatus.Skipped }) - 1;
      if (wanted && !wanted.has(id)) return;
      void all.test(name, async (t: Test) => {
        if (state.activeMutant !== undefined && !all.passing()) return;
        const started = performance.now();
        state.currentTestId = id;
        t.on('end', () => {
          const ran = { ...result, timeSpentMs: performance.now() - started };
          results[index] = t.passing()
            ? { ...ran, status: TestStatus.Success }
            : { ...ran, status: TestStatus.Failed, failureMessage: output.slice(-2000) };
          state.currentTestId = undefined;
        });
        await work(t);
      });
    }) as never,
  };
  try {
    for (const file of files) await import(`${pathToFileURL(file).href}?run=${run}`);
  } catch (error) {
    const failureMessage = error instanceof Error ? String(error.stack) : String(error);
    results.push({ id: 'import', name: 'import', timeSpentMs: 0, status: TestStatus.Failed, failureMessage });
  }
  all.end();
  await ended;
  return determineHitLimitReached(state.hitCount, state.hitLimit) ?? { status: DryRunStatus.Complete, tests: results };
}

function createRunner(): TestRunner {
  const testFiles = (process.env.MUTANTS_TESTS ?? '').split(' ');
  return {
    capabilities: () => ({ reloadEnvironment: true }),
    async dryRun() {
      const result = await test(testFiles);
      return { ...result, ...(state.mutantCoverage && { mutantCoverage: state.mutantCoverage }) };
    },
    async mutantRun({ activeMutant, hitLimit, testFilter }) {
      state.activeMutant = activeMutant.id;
      state.hitLimit = hitLimit;
      state.hitCount = hitLimit === undefined ? undefined : 0;
      return toMutantRunResult(await test(testFiles, testFilter && new Set(testFilter)));
    },
  };
}
createRunner.inject = tokens();

export const strykerPlugins = [declareFactoryPlugin(PluginKind.TestRunner, 'one-process', createRunner)];
