import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';
import { request } from 'undici';
import { token, until } from './service.ts';

/** The service as a process of its own, to be killed. */
export type ServiceProcess = {
  url: string;
  child: ChildProcess;
  output(): string;
  /** Resolves with the exit code, or the signal. */
  end(signal: NodeJS.Signals): Promise<number | string | null>;
};

export async function startProcess(
  t: Pick<Test, 'teardown'>,
  env: Record<string, string>,
  entry = 'src/server.ts',
): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [entry], {
    env: { ...inherited(), INTERCOM_ACCESS_TOKEN: token, INTERCOM_REGION: 'us', PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout?.on('data', (chunk) => (output += String(chunk)));
  child.stderr?.on('data', (chunk) => (output += String(chunk)));
  const exited = once(child, 'exit');
  t.teardown(() => child.kill('SIGKILL'));
  const url = await until(
    'the service listens',
    () => {
      if (child.exitCode !== null) throw new Error(`the service ended: ${output}`);
      return /Server listening at (http:\/\/127\.0\.0\.1:\d+)/.exec(output)?.[1];
    },
    60_000,
  );
  return {
    url,
    child,
    output: () => output,
    async end(signal) {
      child.kill(signal);
      const [code, by] = await exited;
      return code ?? by;
    },
  };
}

/** What a process of this test needs of its own one. */
export function inherited(): Record<string, string | undefined> {
  return { PATH: process.env.PATH, NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE };
}

/** The answer to a post, or undefined where the process died before it answered, or took longer than this. */
export async function tryPost(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
  withinMs = 300_000,
): Promise<{ status: number; body: unknown } | undefined> {
  try {
    const response = await request(`${url}/ingest`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(withinMs),
    });
    return { status: response.statusCode, body: await response.body.json() };
  } catch {
    return undefined;
  }
}
