import { request } from 'undici';
import type { Call, Contact, Summary } from '../src/simulator/simulator.ts';
import { freePort } from '../test/free-port.ts';
import { type Child, type Stage, until } from './processes.ts';
import { answers } from './service.ts';

/** A simulated Intercom in a process of its own, steered over HTTP. */
export type IntercomSimulator = {
  url: string;
  child: Child;
  token: string;
  summary(): Promise<Summary>;
  contacts(): Promise<Contact[]>;
  /** The recorded calls from `since` on; the process keeps the newest 10,000. */
  calls(since: number): Promise<Call[]>;
  /** How many calls were recorded so far; costs next to nothing. */
  count(): Promise<number>;
  acceptToken(): Promise<void>;
  addContactAttribute(name: string): Promise<void>;
};

export type SimulatorSettings = {
  limitPerMinute?: number;
  indexLagMs?: number;
  latencyMs?: number;
  /** The service's token is refused until `acceptToken()`. */
  refusing?: boolean;
};

const token = 'bench-token';

export async function startSimulator(stage: Stage, settings: SimulatorSettings = {}): Promise<IntercomSimulator> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = stage.start('dist/simulator/main.js', {
    SIMULATOR_PORT: String(port),
    SIMULATOR_TOKENS: settings.refusing ? 'another-token' : token,
    SIMULATOR_LIMIT_PER_MINUTE: String(settings.limitPerMinute ?? 10_000),
    SIMULATOR_INDEX_LAG_MS: String(settings.indexLagMs ?? 120_000),
    SIMULATOR_LATENCY_MS: String(settings.latencyMs ?? 0),
  });
  await until('the simulator answers', child, () => answers(`${url}/_simulator/summary`));

  async function look<T>(path: string): Promise<T> {
    const { body } = await request(`${url}/_simulator/${path}`);
    return (await body.json()) as T;
  }

  async function send(method: 'PUT' | 'POST', path: string, payload: unknown): Promise<void> {
    const headers = {
      authorization: `Bearer ${token}`,
      accept: 'application/json',
      'content-type': 'application/json',
      'intercom-version': '2.11',
    };
    const { statusCode, body } = await request(url + path, { method, headers, body: JSON.stringify(payload) });
    const text = await body.text();
    if (statusCode !== 200) throw new Error(`${method} ${path} at the simulator answered ${statusCode} ${text}`);
  }

  return {
    url,
    child,
    token,
    summary: () => look('summary'),
    contacts: async () => (await look<{ contacts: Contact[] }>('contacts')).contacts,
    calls: async (since) => (await look<{ calls: Call[] }>(`calls?since=${since}`)).calls,
    count: async () => (await look<{ next: number }>(`calls?since=${Number.MAX_SAFE_INTEGER}`)).next,
    acceptToken: () => send('PUT', '/_simulator/tokens', [token]),
    addContactAttribute: (name) => send('POST', '/data_attributes', { name, model: 'contact', data_type: 'string' }),
  };
}
