import { join } from 'node:path';
import t from 'tap';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import { temporaryFolder } from '../service.ts';
import { conformance } from './conformance.ts';

conformance(t, (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  return { open: () => openSqliteQueue({ path }) };
});

t.test('a second process on the same file is refused in plain words', async (t) => {
  const path = join(temporaryFolder(t), 'queue.db');
  const queue = await openSqliteQueue({ path });
  await t.rejects(openSqliteQueue({ path }), /in use by another process/);
  await queue.close();
  const next = await openSqliteQueue({ path });
  await next.close();
});
