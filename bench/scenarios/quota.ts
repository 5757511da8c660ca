import type { Bench } from '../bench.ts';
import { until } from '../processes.ts';
import { queueEvents, startService } from '../service.ts';
import { startSimulator } from '../simulator.ts';

const limitPerMinute = 3600;
const windowMs = 10_000;
const callsPerWindow = limitPerMinute / 6;

/** How much of Intercom's limit a backlog uses, and how often it is told that it was too much. */
export async function quota({ stage, report, quick }: Bench): Promise<void> {
  const windows = quick ? 1 : 4;
  report.title('quota', `a backlog against ${callsPerWindow} calls in 10 s, ${windows} full windows`);
  const simulator = await startSimulator(stage, { limitPerMinute });
  const service = await startService(stage, { simulator });
  // The windows before and after the full ones take some as well.
  await queueEvents(service, { events: 1000 * Math.ceil(((windows + 2) * callsPerWindow) / 1000), users: 1000 });
  const firstWindow = Math.floor(Date.now() / windowMs) + 1;
  const endMs = (firstWindow + windows) * windowMs;
  const over = async (): Promise<true | undefined> => (Date.now() > endMs ? true : undefined);
  await until('the windows are over', service.child, over, { everyMs: 100, withinMs: (windows + 2) * windowMs });

  const { queued } = await service.ledger();
  if (queued === 0) throw new Error('the backlog ended before the windows did');
  const calls = await simulator.calls(0);
  const shares = Array.from({ length: windows }, (_, n) => {
    const inWindow = calls.filter(({ at, status }) => status !== 429 && Math.floor(at / windowMs) === firstWindow + n);
    return (inWindow.length / callsPerWindow) * 100;
  });
  report.figure({ name: "used of a window's limit", unit: '%', values: shares, target: { atLeast: 98 } });
  report.figure({
    name: 'answers 429, over all windows',
    unit: '',
    values: [calls.filter(({ status }) => status === 429).length],
    target: { atMost: 0 },
  });
  await stage.clear();
}
