import t from 'tap';
import { openPostgresQueue } from '../../src/queue/postgres/engine.ts';
import { migrate } from '../../src/queue/postgres/migrate.ts';
import { startPostgres } from '../postgres.ts';
import { conformance } from './conformance.ts';

const server = await startPostgres();
t.teardown(() => server.close());

conformance(t, (_t, options) => {
  const url = server.newDatabase();
  return {
    async open() {
      await migrate(await url);
      return openPostgresQueue({ url: await url, connections: 8, ...options });
    },
  };
});
