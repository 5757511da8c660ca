import { type Connection, openConnection } from './connection.ts';
import { percentile } from './report.ts';

export type Load = {
  url: string;
  connections?: number;
  /** The next body; ASCII only, so that its length is that of its bytes. */
  body(): string;
};

export type Round = {
  /** Answers within the time, per second. */
  perSecond: number;
  /** All answers by status, those after the end of the time included. */
  statuses: Map<number, number>;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
};

const usualConnections = 64;

/** Each connection sends its next request when it has the answer to the last: the highest rate. */
export async function closedLoop(load: Load & ({ seconds: number } | { requests: number })): Promise<Round> {
  const round = await openRound(load);
  const startedAtMs = performance.now();
  const endsAtMs = 'seconds' in load ? startedAtMs + load.seconds * 1000 : Infinity;
  let left = 'requests' in load ? load.requests : Infinity;
  let active = round.connections.length;

  function next(connection: Connection): void {
    const nowMs = performance.now();
    if (nowMs >= endsAtMs || left === 0) {
      active -= 1;
      if (active === 0) round.end();
      return;
    }
    left -= 1;
    connection.send(requestText(load.url, load.body()), (status) => {
      round.answered(status, nowMs, endsAtMs);
      next(connection);
    });
  }
  for (const connection of round.connections) next(connection);
  await round.over;
  return round.result(Number.isFinite(endsAtMs) ? endsAtMs - startedAtMs : performance.now() - startedAtMs);
}

/**
 * Requests at fixed times, whether or not earlier ones were answered; the latency counts from the time at which a
 * request was due, so that a stall is seen by all that it delays (no coordinated omission).
 */
export async function openLoop(load: Load & { seconds: number; perSecond: number }): Promise<Round> {
  const round = await openRound(load);
  const startedAtMs = performance.now();
  const total = Math.round(load.seconds * load.perSecond);
  const free = [...round.connections];
  let sent = 0;

  function sendDue(): void {
    const due = Math.min(total, Math.floor(((performance.now() - startedAtMs) / 1000) * load.perSecond) + 1);
    while (sent < due) {
      const connection = free.pop();
      if (!connection) return;
      const dueAtMs = startedAtMs + (sent * 1000) / load.perSecond;
      sent += 1;
      connection.send(requestText(load.url, load.body()), (status) => {
        round.answered(status, dueAtMs, Infinity);
        free.push(connection);
        if (sent < total) sendDue();
        else if (free.length === round.connections.length) round.end();
      });
    }
  }
  const timer = setInterval(sendDue, 1);
  sendDue();
  try {
    await round.over;
  } finally {
    clearInterval(timer);
  }
  return round.result(load.seconds * 1000);
}

async function openRound({ url, connections: count = usualConnections }: Load) {
  const { promise: over, resolve, reject } = Promise.withResolvers<void>();
  over.catch(() => undefined); // whoever awaits it hears of it
  const port = Number(new URL(url).port);
  const connections = await Promise.all(Array.from({ length: count }, () => openConnection(port, reject)));
  const latenciesMs: number[] = [];
  const statuses = new Map<number, number>();
  let inTime = 0;

  return {
    connections,
    over: over.finally(() => {
      for (const connection of connections) connection.close();
    }),
    answered(status: number, sinceMs: number, endsAtMs: number): void {
      const nowMs = performance.now();
      if (nowMs <= endsAtMs) inTime += 1;
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      latenciesMs.push(nowMs - sinceMs);
    },
    end: resolve,
    result(tookMs: number): Round {
      const sorted = Float64Array.from(latenciesMs).toSorted();
      const [p50Ms, p99Ms, maxMs] = [percentile(sorted, 50), percentile(sorted, 99), percentile(sorted, 100)];
      return { perSecond: (inTime * 1000) / tookMs, statuses, p50Ms, p99Ms, maxMs };
    },
  };
}

/** A request to /ingest as it goes over the wire. */
export function requestText(url: string, payload: string): string {
  return `POST /ingest HTTP/1.1\r\nhost: ${url.slice(7)}\r\ncontent-type: application/json\r\nprefer: respond-async\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`;
}
