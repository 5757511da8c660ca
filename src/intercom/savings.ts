import type { Step } from './destination.ts';

/** What a step saved: events without a call of their own, and writes to an id that had not to be searched for. */
export function savingsOf({ jobs, outcome, calls, exchange }: Pick<Step, 'jobs' | 'outcome' | 'calls' | 'exchange'>): {
  merged: number;
  unchanged: number;
  knownIds: number;
} {
  const isDelivered = outcome.kind === 'delivered';
  const first = exchange.calls[0];
  return {
    merged: isDelivered ? jobs.length - 1 : 0,
    unchanged: isDelivered && calls === 0 ? 1 : 0,
    knownIds: isDelivered && first?.status === outcome.status && goesToKnownId(first) ? 1 : 0,
  };
}

/** The first call of a step tells: what a search or a conflict has just told was not known before. */
function goesToKnownId({ method, path, body }: { method: string; path: string; body?: unknown }): boolean {
  if (path === '/events') return typeof body === 'object' && body !== null && 'id' in body;
  return method !== 'GET' && /^\/contacts\/(?!search$|merge$)/.test(path);
}
