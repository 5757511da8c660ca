import { setTimeout as delay } from 'node:timers/promises';
import type { Bench } from '../bench.ts';
import { type Connection, openConnection } from '../connection.ts';
import { inBatches, trackEvents } from '../events.ts';
import { requestText } from '../load.ts';
import { type Service, startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

const capacityClients = 64;
const times = 10;
const users = 10_000;

type Kind = { name: string; size: number };
type Crowd = { eventsPerSecond: number; refused: number; lost: number };

/**
 * Ten times the clients that reach the highest rate, none of which waits after a refusal: what is still acknowledged of
 * it, how much memory that takes, and how soon a single event is answered as usual when they have gone.
 */
export async function overload(bench: Bench): Promise<void> {
  const kinds: Kind[] = [
    { name: 'single events', size: 1 },
    { name: 'batches of 100', size: 100 },
    { name: 'batches of 1,000', size: 1000 },
  ];
  for (const kind of kinds) await measure(bench, kind);
}

async function measure({ stage, report, quick }: Bench, { name, size }: Kind): Promise<void> {
  report.title('overload', `${name}: ${capacityClients * times} clients, of whom ${capacityClients} are enough`);
  const [goodputs, shares, refused, lost, memories, recoveries]: number[][] = [[], [], [], [], [], []];
  for (let n = 0; n < (quick ? 1 : 2); n += 1) {
    const simulator = await startSimulator(stage);
    const service = await startService(stage, { simulator });
    const body = size === 1 ? trackEvents({ users }) : inBatches(trackEvents({ users }), size);
    const seconds = quick ? 3 : 10;
    await crowd(service, capacityClients, body, 3);
    const before = await crowd(service, capacityClients, body, seconds);
    const during = await crowd(service, capacityClients * times, body, quick ? 5 : 20);
    recoveries!.push(await recovery(service, trackEvents({ users })));
    const after = await crowd(service, capacityClients, body, seconds);
    const peak = Math.max(before.eventsPerSecond, after.eventsPerSecond);
    goodputs!.push(during.eventsPerSecond);
    shares!.push(during.eventsPerSecond / peak);
    refused!.push(during.refused);
    lost!.push(during.lost);
    memories!.push(service.memory()?.peakMb ?? Number.NaN);
    await stage.clear();
  }
  report.figure({ name: 'durable 202', unit: 'events/s', values: goodputs! });
  report.figure({ name: 'of the highest rate before and after', unit: '×', values: shares!, target: { atLeast: 0.9 } });
  report.figure({ name: 'requests refused with 429 or 503', unit: '', values: refused! });
  report.figure({ name: 'connections that ended without an answer', unit: '', values: lost! });
  report.figure({ name: 'largest resident memory (VmHWM)', unit: 'MB', values: memories!, target: { atMost: 256 } });
  report.figure({ name: 'to a 202 within 50 ms afterwards', unit: 's', values: recoveries!, target: { atMost: 5 } });
}

/** So many clients at once, each of which sends again as soon as it has an answer, whatever that is. */
async function crowd(service: Service, clients: number, body: () => string, seconds: number): Promise<Crowd> {
  const endsAtMs = performance.now() + seconds * 1000;
  const port = Number(new URL(service.url).port);
  let refused = 0;
  let lost = 0;

  async function client(): Promise<void> {
    /** What was refused is sent again as it was: so do senders, and a new body would cost the load generator its time. */
    let unsent: string | undefined;
    while (performance.now() < endsAtMs) {
      let fail = (): void => {};
      const ended = new Promise<number>((resolve) => {
        fail = () => resolve(0);
      });
      let connection: Connection;
      try {
        connection = await openConnection(port, () => fail());
      } catch {
        lost += 1;
        await delay(10);
        continue;
      }
      for (let status = 1; status > 0 && performance.now() < endsAtMs;) {
        const text = (unsent ??= requestText(service.url, body()));
        const answered = new Promise<number>((resolve) => {
          connection.send(text, resolve);
        });
        status = await Promise.race([answered, ended]);
        if (status === 202) unsent = undefined;
        else if (status === 0) lost += 1;
        else if (status === 429 || status === 503) refused += 1;
        else throw new Error(`an answer with ${status}`);
      }
      connection.close();
    }
  }

  const before = await service.ledger();
  const startedAtMs = performance.now();
  await Promise.all(Array.from({ length: clients }, client));
  const tookSeconds = (performance.now() - startedAtMs) / 1000;
  const kept = (await service.ledger()).accepted - before.accepted;
  return { eventsPerSecond: kept / tookSeconds, refused, lost };
}

/** Seconds until a single event is acknowledged within 50 ms. */
async function recovery(service: Service, body: () => string): Promise<number> {
  const startedAtMs = performance.now();
  for (;;) {
    const sentAtMs = performance.now();
    const connection = await openConnection(Number(new URL(service.url).port), () => {});
    const status = await new Promise<number>((resolve) => {
      connection.send(requestText(service.url, body()), resolve);
    });
    connection.close();
    if (status === 202 && performance.now() - sentAtMs < 50) return (sentAtMs - startedAtMs) / 1000;
    if (sentAtMs - startedAtMs > 60_000) throw new Error('a minute later single events are still slow');
    await delay(20);
  }
}
