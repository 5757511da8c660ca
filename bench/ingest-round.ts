import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from './bench.ts';
import { closedLoop, type Load, openLoop, type Round } from './load.ts';
import { freePort, until } from './processes.ts';
import { answers, type Service, startService } from './service.ts';
import { startSimulator } from './simulator.ts';

export type IngestRound = { body(): string; eventsPerRequest: number; warmUpSeconds: number; seconds: number };

/** A new service on an empty database, which delivers at Intercom's usual quota while it takes what comes. */
export async function roundAtService({ stage }: Bench, round: IngestRound & { perSecond?: number }): Promise<Round> {
  const simulator = await startSimulator(stage);
  const service = await startService(stage, { simulator });
  await verified(service, round, { seconds: round.warmUpSeconds });
  const result = await verified(service, round, round);
  await stage.clear();
  return result;
}

/** The same load on a route that stores nothing. */
export async function roundAtBareRoute({ stage }: Bench, round: IngestRound & { perSecond?: number }): Promise<Round> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = stage.start('bench/bare-route.ts', { PORT: String(port) });
  await until('the bare route answers', child, () => answers(`${url}/readyz`));
  await run({ url, body: round.body }, { seconds: round.warmUpSeconds });
  const result = await run({ url, body: round.body }, round);
  onlyAccepted(result);
  await stage.clear();
  return result;
}

/** No rate is believed that the service's own ledger does not confirm. */
async function verified(service: Service, { body, eventsPerRequest }: IngestRound, limits: Limits): Promise<Round> {
  const before = await service.ledger();
  const result = await run({ url: service.url, body }, limits);
  await delay(10); // the answers are out before the last of them is counted
  const accepted = (await service.ledger()).accepted - before.accepted;
  const confirmed = onlyAccepted(result) * eventsPerRequest;
  if (accepted !== confirmed)
    throw new Error(`${confirmed} events were answered with 202, and ${accepted} are in the ledger`);
  return result;
}

type Limits = { seconds: number; perSecond?: number };

function run(load: Load, { seconds, perSecond }: Limits): Promise<Round> {
  return perSecond === undefined ? closedLoop({ ...load, seconds }) : openLoop({ ...load, seconds, perSecond });
}

function onlyAccepted({ statuses }: Round): number {
  const accepted = statuses.get(202) ?? 0;
  const others = [...statuses].filter(([status]) => status !== 202);
  if (accepted === 0 || others.length > 0) {
    throw new Error(
      `202 was expected of all: ${[...statuses].map(([status, count]) => `${count} × ${status}`).join(', ')}`,
    );
  }
  return accepted;
}
