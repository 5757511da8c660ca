import t from 'tap';
import { judgeSeeds } from './faults/seeds.ts';
import { startPostgres } from './postgres.ts';

const server = await startPostgres();
t.teardown(() => server.close());

t.test('under drawn mixes of faults two replicas on PostgreSQL keep every promise together', (t) =>
  judgeSeeds(t, 10, async () => ({
    replicas: 2,
    env: {
      DATABASE_URL: await server.newDatabase(),
      DATABASE_CONNECTIONS: '4',
      ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
      ADMIN_TOKEN: 'an-admin-token-of-tests',
    },
  })),
);
