import { open } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Records per second that the disk itself keeps: appended to a file and synced in groups, as a queue would that did
 * nothing else. `waiters` append the next record when their last one is synced.
 */
export async function appendsPerSecond({
  folder,
  waiters,
  bytes,
  seconds,
}: {
  folder: string;
  waiters: number;
  bytes: number;
  seconds: number;
}): Promise<number> {
  const file = await open(join(folder, 'append.log'), 'a');
  const record = Buffer.alloc(bytes, 'x');
  let waiting: (() => void)[] = [];
  let syncing = false;
  let kept = 0;

  async function syncGroups(): Promise<void> {
    syncing = true;
    while (waiting.length > 0) {
      const group = waiting;
      waiting = [];
      await file.write(Buffer.concat(group.map(() => record)));
      await file.datasync();
      kept += group.length;
      for (const resolve of group) resolve();
      // The resolved waiters append again before the next group is closed.
      await Promise.resolve();
    }
    syncing = false;
  }

  function append(): Promise<void> {
    return new Promise((resolve) => {
      waiting.push(resolve);
      if (!syncing) void syncGroups();
    });
  }

  const endsAtMs = performance.now() + seconds * 1000;
  async function appendUntilEnd(): Promise<void> {
    while (performance.now() < endsAtMs) await append();
  }
  await Promise.all(Array.from({ length: waiters }, appendUntilEnd));
  await file.close();
  return kept / seconds;
}
