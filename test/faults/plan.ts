import type { Call, Fault, Simulator, SimulatorOptions } from '../../src/simulator/simulator.ts';
import { createRandom, hashOf, type Random } from './random.ts';

/** What goes wrong in the run of one seed. */
export type Plan = {
  simulator: SimulatorOptions;
  /** Of a call to fail; a call that has failed three times is let through. */
  probability: number;
  /** After so many calls the service is stopped and started again. */
  restarts: number[];
  /** After so many calls Intercom knows the token no more, for a while. */
  revokedAt: number | undefined;
  /** From this call on, for a second, nothing works. */
  outageAt: number | undefined;
  /** These calls are told that they are too many. */
  limitedAt: number[];
  /** Whether the answer to the creation of a lead may be lost: that person then waits for the search index. */
  losesLeads: boolean;
};

/**
 * The slow ones (the gate asks again after 5 seconds, the next window of a quota opens after 10) fall to five seeds of
 * fifty in a row, of which each has its own rest.
 *
 * | seed modulo 50 | 0, 1   | 2, 3       | 4     | 5         | 6–15          | 16–20               | others |
 * |----------------|--------|------------|-------|-----------|---------------|---------------------|--------|
 * | beside faults  | outage | revocation | quota | lost lead | 1–3 restarts  | told to be too fast | –      |
 */
export function createPlan(random: Random, seed: number): Plan {
  const turn = ((seed % 50) + 50) % 50;
  const between = (from: number, to: number): boolean => turn >= from && turn <= to;
  const someCall = (): number => 15 + random.below(70);
  return {
    simulator: {
      limitPerMinute: turn === 4 ? 360 : 6000,
      indexLagMs: random.pick([0, 60_000]),
      latencyMs: random.pick([0, 0, 2, 10]),
      attributes: [
        { model: 'contact', name: 'plan', data_type: 'string' },
        { model: 'contact', name: 'score', data_type: 'integer' },
      ],
    },
    probability: 0.05 + random.next() * 0.15,
    restarts: between(6, 15)
      ? Array.from({ length: 1 + random.below(3) }, (_, n) => 8 + n * 30 + random.below(25))
      : [],
    revokedAt: between(2, 3) ? someCall() : undefined,
    outageAt: between(0, 1) ? someCall() : undefined,
    limitedAt: between(16, 20) ? [someCall()] : [],
    losesLeads: turn === 5,
  };
}

const kinds = ['500', '503', 'html', 'reset_before', 'reset_after', 'slow', 'company_race', 'refused'] as const;
type Kind = (typeof kinds)[number] | 'limited' | 'outage';

const faults: Record<Kind, Fault> = {
  '500': { kind: 'status', status: 500 },
  '503': { kind: 'status', status: 503 },
  html: { kind: 'html', status: 504 },
  reset_before: { kind: 'reset_before' },
  reset_after: { kind: 'reset_after' },
  slow: { kind: 'slow', ms: 150 },
  company_race: { kind: 'company_race' },
  refused: { kind: 'status', status: 422 },
  limited: { kind: 'rate_limited' },
  outage: { kind: 'status', status: 503 },
};

const timesEach = 3;
const outageMs = 1000;

/** What strikes a call is drawn from the seed and what the call says, not from when it comes. */
export function arm(simulator: Simulator, plan: Plan, seed: number): void {
  const decided = new WeakMap<Call, Kind | 'none'>();
  const seen = new Map<string, number>();
  const first = simulator.calls.length;
  let outageEndsAtMs: number | undefined;
  let refused = 0;

  function decide(call: Call): Kind | 'none' {
    if (call.endpoint === 'GET /me') return 'none';
    const index = call.index - first;
    if (plan.outageAt !== undefined && index >= plan.outageAt) outageEndsAtMs ??= call.at + outageMs;
    if (outageEndsAtMs !== undefined && call.at < outageEndsAtMs && !createsLead(call)) return 'outage';
    if (plan.limitedAt.some((at) => index >= at && index < at + 2)) return 'limited';
    const text = `${call.endpoint} ${JSON.stringify(withoutIds(call.requestBody))}`;
    const times = (seen.get(text) ?? 0) + 1;
    seen.set(text, times);
    if (times > timesEach) return 'none';
    const random = createRandom(hashOf(`${seed} ${times} ${text}`));
    if (createsLead(call)) return plan.losesLeads && times === 1 ? random.pick(['reset_after', '503']) : 'none';
    if (!random.chance(plan.probability)) return 'none';
    const kind = random.pick(kinds);
    if (kind === 'company_race') return call.endpoint === 'POST /companies' ? kind : 'reset_after';
    if (kind !== 'refused') return kind;
    // Only at first: what Intercom has taken, and not said so, it does not refuse the next time.
    if (call.endpoint !== 'POST /events' || times > 1 || refused === 2) return '500';
    refused += 1;
    return kind;
  }

  for (const [kind, fault] of Object.entries(faults)) {
    const when = (call: Call): boolean => {
      const known = decided.get(call) ?? decide(call);
      decided.set(call, known);
      return known === kind;
    };
    simulator.inject({ ...fault, times: Infinity, when });
  }
}

export function createsLead(call: Call): boolean {
  return call.endpoint === 'POST /contacts' && bodyOf(call).role === 'lead';
}

export function bodyOf({ requestBody }: Call): Record<string, unknown> {
  return typeof requestBody === 'object' && requestBody !== null ? { ...requestBody } : {};
}

/** Intercom's ids differ from run to run. */
function withoutIds(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return body;
  return Object.fromEntries(Object.entries(body).filter(([key]) => !['id', 'from', 'into'].includes(key)));
}
