import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import pino from 'pino';
import type { Test } from 'tap';
import { request } from 'undici';
import { type App, buildApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import type { IngestAnswer } from '../src/ingest/answer.ts';
import { type Simulator, type SimulatorOptions, startSimulator } from '../src/simulator/simulator.ts';

/** The service and a simulated Intercom, both over HTTP, as a user has them. */
export type Service = {
  url: string;
  simulator: Simulator;
  app: App;
  databasePath: string;
  logs: string[];
  post(body: unknown, headers?: Record<string, string>): Promise<Answer>;
  get(path: string): Promise<{ status: number; text: string }>;
  stop(): Promise<void>;
};

export type Answer = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: IngestAnswer & Problem;
  text: string;
};
type Problem = {
  code?: string;
  detail?: string;
  errors?: { index?: number; code: string; message: string; path?: string }[];
};

export type ServiceOptions = {
  env?: Record<string, string>;
  simulator?: SimulatorOptions | Simulator;
  databasePath?: string;
};

export const token = 'demo-token';

/** How long an answer waits for the delivery: a busy machine needs long, and one that comes ends the wait. */
const answerWaitMs = 30_000;
const stopGraceMs = 20_000;

export async function startService(t: Test, options: ServiceOptions = {}): Promise<Service> {
  const simulator = await openSimulator(t, options.simulator);
  const databasePath = options.databasePath ?? join(temporaryFolder(t), 'queue.db');
  const logs: string[] = [];
  const config = readConfig({
    INTERCOM_ACCESS_TOKEN: token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${databasePath}`,
    INGEST_WAIT_MS: String(answerWaitMs),
    ...options.env,
  });
  const app = await buildApp(
    config,
    pino({ level: 'debug', base: null }, { write: (line: string) => void logs.push(line) }),
  );
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
  t.teardown(() => app.stop(2000));

  return {
    url,
    simulator,
    app,
    databasePath,
    logs,
    async post(body, headers = {}) {
      const response = await request(`${url}/ingest`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body),
      });
      const text = await response.body.text();
      return { status: response.statusCode, headers: response.headers, body: JSON.parse(text), text };
    },
    async get(path) {
      const response = await request(url + path);
      return { status: response.statusCode, text: await response.body.text() };
    },
    stop: () => app.stop(stopGraceMs),
  };
}

async function openSimulator(t: Test, given: ServiceOptions['simulator'] = {}): Promise<Simulator> {
  if ('calls' in given) return given;
  const simulator = await startSimulator({ tokens: [token], ...given });
  t.teardown(() => simulator.close());
  return simulator;
}

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-test-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const pollMs = 5;

/** Waits for a state; fails with what was waited for. A state that comes ends the wait, so the limit is a busy machine's. */
export async function until<T>(what: string, look: () => T | Promise<T>, withinMs = 60_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    if (Date.now() > deadline) throw new Error(`waited ${withinMs} ms in vain until ${what}`);
    await setTimeout(pollMs);
  }
}

/** The writing calls that reached Intercom, without what the service asks at its start. */
export function writes(simulator: Simulator): string[] {
  return simulator.calls.filter(({ method }) => method !== 'GET').map(({ endpoint }) => endpoint);
}
