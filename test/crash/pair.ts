import { once } from 'node:events';
import { cp, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { Client } from 'pg';
import type { Test } from 'tap';
import { run, startPostgres } from '../postgres.ts';

/** A PostgreSQL server with a synchronous standby, behind one address. */
export type Pair = {
  /** By this address clients reach the primary, whichever it is. */
  url: string;
  /** A crash of the primary, which comes back. */
  restart(): Promise<void>;
  /** A crash of the primary that is for good: the standby takes its place. */
  promote(): Promise<void>;
};

export async function startPair(t: Test): Promise<Pair> {
  const primary = await startPostgres({ settings: { wal_level: 'replica', wal_sender_timeout: '5s' } });
  t.teardown(() => primary.close());
  const url = await primary.newDatabase();
  await ask(url, "SELECT pg_create_physical_replication_slot('standby', true)");
  await primary.stop('fast');
  const conninfo = `host=127.0.0.1 port=${primary.port} user=postgres application_name=standby`;
  const standby = await startPostgres({
    settings: { primary_conninfo: conninfo, primary_slot_name: 'standby', wal_retrieve_retry_interval: '200ms' },
    async fill(folder, owner) {
      await cp(primary.folder, folder, { recursive: true });
      await writeFile(join(folder, 'standby.signal'), '');
      if (owner.uid !== undefined) await run('chown', ['-R', `${owner.uid}:${owner.gid}`, folder], {});
      await primary.start();
    },
  });
  t.teardown(() => standby.close());
  // Only now, since the commits of a primary without its standby wait for one.
  await ask(url, "ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'");
  await ask(url, 'SELECT pg_reload_conf()');
  const proxy = await startProxy(t, primary.port);
  const clients = new URL(url);
  clients.port = String(proxy.port);
  return {
    url: clients.href,
    async restart() {
      await primary.stop('immediate');
      await primary.start();
    },
    async promote() {
      await primary.stop('immediate');
      const there = new URL(url);
      there.port = String(standby.port);
      const [row] = await ask(there.href, 'SELECT pg_promote() AS done');
      if (row?.done !== true) throw new Error('the standby was not promoted');
      proxy.turnTo(standby.port);
    },
  };
}

async function ask(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

type Proxy = { port: number; turnTo(port: number): void };

/** Connects whoever comes to the port of the moment. */
async function startProxy(t: Test, first: number): Promise<Proxy> {
  let target = first;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1');
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.setNoDelay(true);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
      one.pipe(other);
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, turnTo: (port) => void (target = port) };
}
