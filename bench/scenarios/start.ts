import type { Bench } from '../bench.ts';
import { startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

/** From the start of the process to the first 200 of /readyz: it can store, and Intercom has accepted the token. */
export async function start({ stage, report, quick }: Bench): Promise<void> {
  report.title('start', 'process start to /readyz 200, empty database');
  const seconds: number[] = [];
  const memory: number[] = [];
  for (let n = 0; n < (quick ? 2 : 5); n += 1) {
    const simulator = await startSimulator(stage);
    const service = await startService(stage, { simulator });
    seconds.push((performance.now() - service.child.startedAtMs) / 1000);
    memory.push(service.memory()?.nowMb ?? Number.NaN);
    await stage.clear();
  }
  report.figure({ name: 'ready after', unit: 's', values: seconds, target: { atMost: 1.5 } });
  report.figure({ name: 'resident memory then', unit: 'MB', values: memory });
}
