import { z } from 'zod';
import type { Call } from './record.ts';

// JSON has no Infinity.
const times = z.union([z.int().positive(), z.literal('Infinity').transform(() => Infinity)]);
const milliseconds = z.number().nonnegative();
const matchers = {
  /** For instance `POST /events`; every endpoint when left out. */
  endpoint: z.string().optional(),
  /** How many calls it strikes; 1 when left out. */
  times: times.optional(),
  /** Of striking a call that matches, drawn from a generator that `seed` makes repeatable. */
  probability: z.number().min(0).max(1).optional(),
  seed: z.int().optional(),
};

/** What can go wrong with a call. A fault wins over everything else: authentication, limits, validation. */
export const FaultBody = z.discriminatedUnion('kind', [
  /** Answered so, and not executed. */
  z.object({
    kind: z.literal('status'),
    status: z.int().min(200).max(599),
    body: z.unknown().optional(),
    contentType: z.string().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    ...matchers,
  }),
  /** A load balancer's page: no request id, no rate limit headers, nothing counted, nothing executed. */
  z.object({ kind: z.literal('html'), status: z.union([z.literal(403), z.literal(502), z.literal(504)]), ...matchers }),
  /** The connection is reset, nothing executed. */
  z.object({ kind: z.literal('reset_before'), ...matchers }),
  /** Executed, then the connection is reset: the sender cannot know. */
  z.object({ kind: z.literal('reset_after'), ...matchers }),
  /** Nothing happens; after `ms`, if given, it is executed and answered. */
  z.object({ kind: z.literal('hang'), ms: milliseconds.optional(), ...matchers }),
  /** Executed, then never answered. */
  z.object({ kind: z.literal('hang_after'), ...matchers }),
  /** Executed at once, answered after `ms`. */
  z.object({ kind: z.literal('slow'), ms: milliseconds, ...matchers }),
  /** 429 `too_many_requests` although the headers show budget left. */
  z.object({ kind: z.literal('rate_limited'), ...matchers }),
  /** Strikes only the first `POST /companies` of a company: somebody else creates it in the same moment. */
  z.object({ kind: z.literal('company_race'), ...matchers }),
]);

export type Fault = z.infer<typeof FaultBody> & {
  /** In-process only: narrows down which calls it may strike. */
  when?: (call: Call) => boolean;
  /** In-process only: `slow` answers after this as well. */
  until?: Promise<unknown>;
};
export type Faults = ReturnType<typeof createFaults>;
type Armed = { fault: Fault; left: number; random: () => number };

/** The faults that wait for their calls; the earliest one that matches a call strikes it. */
export function createFaults() {
  let armed: Armed[] = [];

  return {
    add(fault: Fault): void {
      armed.push({ fault, left: fault.times ?? 1, random: seededRandom(fault.seed ?? 1) });
    },
    clear(): void {
      armed = [];
    },
    take(call: Call): Fault | undefined {
      if (armed.length === 0) return undefined;
      const struck = armed.find(({ fault, random }) => matches(fault, call) && random() < (fault.probability ?? 1));
      if (!struck) return undefined;
      struck.left -= 1;
      if (struck.left <= 0) armed = armed.filter((each) => each !== struck);
      return struck.fault;
    },
  };
}

function matches(fault: Fault, call: Call): boolean {
  return (fault.endpoint === undefined || fault.endpoint === call.endpoint) && (fault.when?.(call) ?? true);
}

/** Mulberry32: small, and the same sequence on every machine. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
