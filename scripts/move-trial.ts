// How fast a queue moves from SQLite to PostgreSQL: node scripts/move-trial.ts [events, 1000000]
// The file is filled by the engine itself, with events of 0.5 KB; PostgreSQL is that of the tests, with its syncs on.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { move } from '../src/queue/move/move.ts';
import { openSqliteQueue } from '../src/queue/sqlite/engine.ts';
import { startPostgres } from '../test/postgres.ts';
import { newEvent } from '../test/queue/new-events.ts';

const total = Number(process.argv[2] ?? 1_000_000);
const batch = 1000;
const payload = JSON.stringify({ type: 'track', event: 'Product Viewed', properties: { text: 'x'.repeat(430) } });
const folder = mkdtempSync(join(tmpdir(), 'signal-intercom-move-'));
const path = join(folder, 'queue.db');

const queue = await openSqliteQueue({ path });
for (let n = 0; n < total; n += batch) {
  const events = Array.from({ length: batch }, (_, i) => newEvent(`u${(n + i) % 100_000}`, `m${n + i}`));
  await queue.enqueue(events.map((event) => ({ ...event, receivedAtMs: Date.now(), payload })));
}
await queue.close();

const server = await startPostgres({ settings: { fsync: 'on', full_page_writes: 'on', max_wal_size: '4GB' } });
try {
  const url = await server.newDatabase();
  process.stdout.write(`${total} events, ${Math.round(statSync(path).size / 1e6)} MB\n`);
  let highest = 0;
  const timer = setInterval(() => (highest = Math.max(highest, process.memoryUsage.rss())), 100);
  const startedAt = performance.now();
  let from = startedAt;
  const moved = await move({
    from: path,
    to: url,
    onTable({ table, rows }) {
      const ms = performance.now() - from;
      from = performance.now();
      if (rows > 100)
        process.stdout.write(
          `${table}: ${rows} rows, ${(ms / 1000).toFixed(1)} s, ${Math.round((rows / ms) * 1000)} rows/s\n`,
        );
    },
  });
  const ms = performance.now() - startedAt;
  clearInterval(timer);
  const rows = moved.reduce((sum, table) => sum + table.rows, 0);
  process.stdout.write(
    `in all: ${rows} rows, ${(ms / 1000).toFixed(1)} s, ${Math.round((rows / ms) * 1000)} rows/s, ${Math.round(highest / 1e6)} MB of memory\n`,
  );
} finally {
  await server.close();
  rmSync(folder, { recursive: true });
}
