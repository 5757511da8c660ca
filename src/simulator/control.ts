import { z } from 'zod';
import { FaultBody, type Fault } from './faults.ts';
import { decode } from './routes.ts';
import type { Simulator } from './simulator.ts';

/** Everything below this path belongs to the simulator itself: no token, no limit, no record. */
export const CONTROL_PATH = '/_simulator';

export type Control = (method: string, url: string, text: string) => ControlAnswer;
type ControlAnswer = { status: number; headers: Record<string, string>; payload: string };

const limit = z.union([z.number().positive(), z.literal('Infinity').transform(() => Infinity)]).optional();
const milliseconds = z.number().nonnegative().optional();
export const SettingsBody = z.strictObject({
  limitPerMinute: limit,
  workspaceLimitPerMinute: limit,
  indexLagMs: milliseconds,
  latencyMs: milliseconds,
});
const TokensBody = z.union([
  z.array(z.string()),
  z.object({ tokens: z.array(z.string()) }).transform(({ tokens }) => tokens),
]);

/** The simulator's own door over HTTP, for tests and benchmarks that run in another process. */
export function createControl(simulator: Omit<Simulator, 'url' | 'close'>): Control {
  return function control(method, url, text) {
    const { pathname, searchParams } = new URL(url, 'http://simulator');
    const [name = '', id] = pathname.slice(CONTROL_PATH.length + 1).split('/', 2);
    switch (`${method} ${name}`) {
      case 'GET calls': {
        const since = Number(searchParams.get('since') ?? 0);
        const calls = simulator.calls.filter((call) => call.index >= since);
        return json(200, { next: simulator.count(), calls });
      }
      case 'GET contacts':
        return json(200, {
          contacts: searchParams.get('all') === 'true' ? simulator.allContacts() : simulator.contacts(),
        });
      case 'GET timeline':
        return json(200, { events: simulator.timeline(decode(id ?? '')) });
      case 'GET companies':
        return json(200, { companies: simulator.companies() });
      case 'GET summary':
        return json(200, simulator.summary());
      case 'POST faults':
        return withBody(text, FaultBody, (fault: Fault) => simulator.inject(fault));
      case 'DELETE faults':
        return done(() => simulator.clearFaults());
      case 'PUT tokens':
        return withBody(text, TokensBody, (tokens) => simulator.setTokens(tokens));
      case 'PUT settings':
        return withBody(text, SettingsBody, (settings) => simulator.configure(settings));
      case 'POST reset':
        return done(() => simulator.reset());
      default:
        return json(404, { error: `there is no ${method} ${pathname}` });
    }
  };
}

function withBody<Body>(text: string, schema: z.ZodType<Body>, act: (body: Body) => void): ControlAnswer {
  const parsed = schema.safeParse(parse(text));
  if (!parsed.success) return json(400, { error: z.prettifyError(parsed.error) });
  return done(() => act(parsed.data));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function done(act: () => void): ControlAnswer {
  act();
  return json(200, { ok: true });
}

function json(status: number, body: unknown): ControlAnswer {
  return { status, headers: { 'Content-Type': 'application/json' }, payload: JSON.stringify(body) };
}
