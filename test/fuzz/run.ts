import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import pino from 'pino';
import { Agent, request } from 'undici';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { type Input, inputs } from './inputs.ts';
import { startForgetfulIntercom } from './intercom.ts';

export type Findings = {
  sent: number;
  statuses: Map<number | string, number>;
  /** The inputs that were answered as none may be, and how. */
  wrong: { why: string; input: Input }[];
  /** Events that died of a bug of ours. */
  bugs: number;
  ledger: { accepted: number; sum: number };
  heapMb: { before: number; after: number };
  logLinesWrong: string[];
};

const lanes = 24;
const adminToken = 'fuzz-admin-token';

/** Sends inputs to a service of its own, and says what it did that it must not. */
export async function fuzz(options: {
  count: number;
  seed: number;
  /** Ends it early on a machine that has other things to do. */
  withinMs?: number;
  onProgress?(done: number): void;
}): Promise<Findings> {
  const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-fuzz-'));
  const intercom = await startForgetfulIntercom();
  const findings: Findings = {
    sent: 0,
    statuses: new Map(),
    wrong: [],
    bugs: 0,
    ledger: { accepted: 0, sum: 0 },
    heapMb: { before: 0, after: 0 },
    logLinesWrong: [],
  };
  const config = readConfig({
    INTERCOM_ACCESS_TOKEN: 'fuzz',
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: intercom.url,
    DATABASE_URL: `file:${join(folder, 'queue.db')}`,
    ADMIN_TOKEN: adminToken,
    ANONYMOUS_EVENTS: 'hold',
    INGEST_WAIT_MS: '0',
    CREATE_ATTRIBUTES: 'true',
  });
  const log = pino({ level: 'info', base: null }, { write: (line: string) => judgeLine(line, findings) });
  const app = await buildApp(config, log);
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
  const port = Number(new URL(url).port);
  const agent = new Agent({ connections: lanes, pipelining: 1 });
  try {
    const source = inputs(options.count, options.seed);
    let done = 0;
    const endsAtMs = performance.now() + (options.withinMs ?? Infinity);
    const warmUp = Math.min(2000, options.count / 4);
    const lane = async (): Promise<void> => {
      for (const input of source) {
        if (performance.now() > endsAtMs) return;
        await send(input);
        done += 1;
        if (done === warmUp) findings.heapMb.before = heapMb();
        if (done % 10_000 === 0) options.onProgress?.(done);
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    findings.sent = done;
    findings.heapMb.after = heapMb();
    await judgeEvents();
    return findings;
  } finally {
    await agent.destroy();
    await app.stop(5000);
    intercom.close();
    rmSync(folder, { recursive: true, force: true });
  }

  async function send(input: Input): Promise<void> {
    const status = input.kind === 'bytes' ? await sendBytes(input.bytes) : await sendRequest(input);
    findings.statuses.set(status, (findings.statuses.get(status) ?? 0) + 1);
    const isOurs = typeof status === 'number' && status >= 500 && !isOfIntercom(status, input);
    if (isOurs || status === 'no answer') findings.wrong.push({ why: `answered ${status}`, input });
  }

  async function sendRequest(input: Input & { kind: 'request' }): Promise<number | string> {
    const { method, path, headers, body } = input;
    const isAdmin = !path.startsWith('/ingest');
    try {
      const answer = await request(url + path, {
        method: method as 'GET',
        headers: { ...headers, ...(isAdmin && { authorization: `Bearer ${adminToken}` }) },
        body,
        dispatcher: agent,
        headersTimeout: 20_000,
      });
      await answer.body.dump();
      return answer.statusCode;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      // What the client itself refuses to send never came in.
      return /INVALID_ARG|ERR_HTTP_INVALID|ERR_INVALID/.test(code) ? 'not sent' : 'no answer';
    }
  }

  async function sendBytes(bytes: Buffer): Promise<number | string> {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')));
    socket.on('error', () => {});
    // Ended by us as well: a request that is cut short would be waited for.
    socket.end(bytes);
    await new Promise<void>((resolve) => void socket.once('close', () => resolve()));
    const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
    return status === undefined ? 'closed' : Number(status);
  }

  async function judgeEvents(): Promise<void> {
    const get = async (path: string): Promise<string> =>
      (await request(url + path, { headers: { authorization: `Bearer ${adminToken}` } })).body.text();
    findings.bugs = JSON.parse(await get('/events?status=dead&reason=bug&limit=100')).data.length;
    const metrics = await get('/metrics');
    const read = (name: string): number =>
      Number(new RegExp(`^signal_intercom_${name} (\\d+)$`, 'm').exec(metrics)?.[1]);
    const states = ['delivered', 'filtered', 'dead', 'queued'].map((state) =>
      read(`ledger_events\\{state="${state}"\\}`),
    );
    findings.ledger = { accepted: read('accepted_events_total'), sum: states.reduce((a, b) => a + b, 0) };
  }
}

/**
 * What an odd Intercom causes: the check of a token that is to be installed is answered 502, and after nonsense in a row
 * delivery is on hold, and so not ready.
 */
function isOfIntercom(status: number, input: Input): boolean {
  if (input.kind !== 'request') return false;
  return (
    (status === 502 && input.path.startsWith('/v1/admin/integration')) ||
    (status === 503 && /^\/readyz(\?|$)/.test(input.path) && !input.path.includes('only=store'))
  );
}

/** One JSON object per line, without what a terminal would obey, and no exception that nobody expected. */
function judgeLine(line: string, { logLinesWrong }: Findings): void {
  const isWrong =
    /[\p{Cc}\p{Zl}]/u.test(line.trimEnd()) || line.includes('request.failed') || line.includes('TypeError');
  if (isWrong && logLinesWrong.length < 10) logLinesWrong.push(line);
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function heapMb(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1e6;
}
