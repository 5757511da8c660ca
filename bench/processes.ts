import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** The processes and folders of one scenario. */
export type Stage = {
  start(script: string, env: Record<string, string>, nodeFlags?: string[]): Child;
  folder(): string;
  /** Ends and removes all of it, the last one first. */
  clear(): Promise<void>;
};

export type Child = {
  pid: number;
  startedAtMs: number;
  /** Processor time of all its threads so far, as Linux tells it; elsewhere unknown. */
  processorSeconds(): number;
  /** Why it ended, with its last words; undefined while it runs. */
  ended(): string | undefined;
  /** SIGTERM, and SIGKILL for one that does not heed it. May be called twice. */
  end(): Promise<void>;
  /** SIGKILL: it can't say a word. */
  kill(): Promise<void>;
};

const endWithinMs = 20_000;
const keptOutput = 4000;

/** On a disk: where the system's temporary folder lies in memory, a sync costs nothing and proves nothing. */
export const benchFolder = process.env.BENCH_FOLDER ?? tmpdir();

export function createStage(): Stage {
  const closing: (() => void | Promise<void>)[] = [];
  return {
    start(script, env, nodeFlags = []) {
      const child = startChild(script, env, nodeFlags);
      closing.push(child.end);
      return child;
    },
    folder() {
      const path = mkdtempSync(join(benchFolder, 'signal-intercom-bench-'));
      closing.push(() => rmSync(path, { recursive: true, force: true }));
      return path;
    },
    async clear() {
      for (let close = closing.pop(); close; close = closing.pop()) await close();
    },
  };
}

function startChild(script: string, env: Record<string, string>, nodeFlags: string[]): Child {
  const startedAtMs = performance.now();
  const child = spawn(process.execPath, [...nodeFlags, script], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      output = (output + String(chunk)).slice(-keptOutput);
    });
  }
  return {
    pid: child.pid ?? 0,
    startedAtMs,
    processorSeconds: () => readProcessorSeconds(child.pid ?? 0),
    ended: () =>
      hasEnded(child) ? `${script} ended with ${child.signalCode ?? child.exitCode}\n${output}` : undefined,
    async end() {
      if (hasEnded(child)) return;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), endWithinMs);
      await exited;
      clearTimeout(timer);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

const ticksPerSecond = 100;

/** User and system time are the 14th and 15th field of proc_pid_stat(5); the 2nd is a name that may hold blanks. */
function readProcessorSeconds(pid: number): number {
  if (process.platform !== 'linux') return Number.NaN;
  const fields = readStat(pid);
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Of a process and its children, those that have ended among them (16th and 17th field). */
export function processorSecondsOfFamily(pid: number): number {
  if (process.platform !== 'linux') return Number.NaN;
  const own = readStat(pid);
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean);
  const ended = (Number(own[13]) + Number(own[14])) / ticksPerSecond;
  return children.reduce((sum, child) => sum + readProcessorSeconds(Number(child)), readProcessorSeconds(pid) + ended);
}

function readStat(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** Waits for a state of a child's, and fails with what was waited for. */
export async function until<T>(
  what: string,
  child: Child,
  look: () => Promise<T | undefined>,
  { everyMs = 5, withinMs = 30_000 } = {},
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    const why = child.ended() ?? (performance.now() > deadline ? `waited ${withinMs} ms` : undefined);
    if (why !== undefined) throw new Error(`in vain until ${what}: ${why}`);
    await delay(everyMs);
  }
}
