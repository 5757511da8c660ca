import type { Bench } from './bench.ts';
import { closedLoop, openLoop, type Round } from './load.ts';
import { freePort } from '../test/free-port.ts';
import { type Child, until } from './processes.ts';
import { answers, startService } from './service.ts';
import { startSimulator } from './simulator.ts';
import { openWatchers } from './watchers.ts';

export type IngestLoad = {
  body(): string;
  eventsPerRequest: number;
  warmUpSeconds: number;
  seconds: number;
  /** Open loop at this rate; closed loop if absent. */
  perSecond?: number;
  /** Consoles that watch the live stream meanwhile. */
  watchers?: number;
};

export type IngestRound = Round & {
  eventsPerSecond: number;
  /** Of the measured process, per event: unlike a rate it hardly changes with what else the machine does. */
  processorMicroseconds: number;
};

/** A new service on an empty database, which delivers at Intercom's usual quota while it takes what comes. */
export async function roundAtService({ stage }: Bench, load: IngestLoad): Promise<IngestRound> {
  const simulator = await startSimulator(stage);
  const { url, child, ledger } = await startService(stage, { simulator });
  const watchers = await openWatchers(url, load.watchers ?? 0);
  await warmUp(url, load);
  const before = await ledger();
  const round = await measure(url, child, load);
  const kept = (await ledger()).accepted - before.accepted;
  const confirmed = accepted(round) * load.eventsPerRequest;
  // No rate is believed that the service's own ledger does not confirm.
  if (kept !== confirmed) throw new Error(`${confirmed} events were answered with 202, and ${kept} are in the ledger`);
  // Nor one that nobody watched who should have.
  if (watchers.close().some((told) => told === 0)) throw new Error('a console was told of no event');
  await stage.clear();
  return round;
}

/** The same load on a route that stores nothing. */
export async function roundAtBareRoute({ stage }: Bench, load: IngestLoad): Promise<IngestRound> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = stage.start('bench/bare-route.ts', { PORT: String(port) });
  await until('the bare route answers', child, () => answers(`${url}/readyz`));
  await warmUp(url, load);
  const round = await measure(url, child, load);
  await stage.clear();
  return round;
}

async function warmUp(url: string, { body, warmUpSeconds }: IngestLoad): Promise<void> {
  accepted(await closedLoop({ url, body, seconds: warmUpSeconds }));
}

async function measure(url: string, child: Child, load: IngestLoad): Promise<IngestRound> {
  const { body, seconds, perSecond, eventsPerRequest } = load;
  const before = child.processorSeconds();
  const round = await (perSecond === undefined
    ? closedLoop({ url, body, seconds })
    : openLoop({ url, body, seconds, perSecond }));
  const events = accepted(round) * eventsPerRequest;
  return {
    ...round,
    eventsPerSecond: round.perSecond * eventsPerRequest,
    processorMicroseconds: ((child.processorSeconds() - before) * 1e6) / events,
  };
}

/** How many answers were 202; anything else voids the round. */
function accepted({ statuses }: Round): number {
  const count = statuses.get(202) ?? 0;
  if (count === 0 || statuses.size > 1) {
    const seen = [...statuses].map(([status, times]) => `${times} × ${status}`).join(', ');
    throw new Error(`202 was expected of all: ${seen}`);
  }
  return count;
}
