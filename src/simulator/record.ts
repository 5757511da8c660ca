import type { IncomingHttpHeaders } from 'node:http';

/** One request as it reached the server, in order of arrival, and what became of it. */
export type Call = {
  index: number;
  /** Unix milliseconds. */
  at: number;
  method: string;
  /** With the query. */
  path: string;
  /** Method and path with every id replaced: `PUT /contacts/{id}`. */
  endpoint: string;
  /** Parsed; the bare text where it is no JSON, undefined where there is none. */
  requestBody: unknown;
  /** 0 as long as, and for ever when, no answer was sent. */
  status: number;
  responseBody: unknown;
  /** It was executed and accepted (2xx), even when the answer was lost on the way. */
  committed: boolean;
  /** The kind of the fault that it met. */
  fault?: string;
  /** The token in `authorization` is blacked out. */
  headers: IncomingHttpHeaders;
};
export type CallRecord = ReturnType<typeof createRecord>;

/** The record of all calls, or of the newest ones; the counts always cover all. */
export function createRecord({ keepCalls }: { keepCalls: number }) {
  const calls: Call[] = [];
  const counts = new Map<string, number>();
  // Cut in batches, so that a full record costs no more per call than an empty one.
  const longest = keepCalls + Math.max(1, Math.floor(keepCalls / 10));
  let total = 0;

  return {
    calls,
    add(call: Omit<Call, 'index' | 'status' | 'responseBody' | 'committed'>): Call {
      const entry: Call = { index: total, ...call, status: 0, responseBody: undefined, committed: false };
      total += 1;
      counts.set(entry.endpoint, (counts.get(entry.endpoint) ?? 0) + 1);
      calls.push(entry);
      if (calls.length > longest) calls.splice(0, calls.length - keepCalls);
      return entry;
    },
    count: (endpoint?: string): number => (endpoint === undefined ? total : (counts.get(endpoint) ?? 0)),
    counts: (): Record<string, number> => Object.fromEntries(counts),
    clear(): void {
      calls.length = 0;
      counts.clear();
      total = 0;
    },
  };
}
