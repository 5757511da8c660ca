import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Delivery, Target } from '../../src/delivery.ts';
import type { GateState } from '../../src/dispatch/gate.ts';
import { type Installations, openInstallations } from '../../src/installations/registry.ts';
import { createVault } from '../../src/installations/vault.ts';
import type { Database } from '../../src/queue/postgres/database.ts';
import type { Queue } from '../../src/queue/queue.ts';
import { openSqliteQueue } from '../../src/queue/sqlite/engine.ts';
import type { Replicas } from '../../src/replicas/replicas.ts';
import { temporaryFolder, until } from '../service.ts';
import { newEvent } from '../queue/new-events.ts';
import { closeServer, openTogether } from './together.ts';

t.teardown(closeServer);

const who = { ipAddress: '127.0.0.1', userAgent: 'test' };
const wanted = { name: 'Shop', variant: 'default', region: 'us' as const, accessToken: 'first-access-token' };
const vault = createVault([randomBytes(32)]);
const timing = { lookMs: 50 };

t.test('what is installed, changed, paused and removed on one replica is so on all', async (t) => {
  const { db, open } = await openTogether(t);
  const queue = await openQueue(t, db);
  const [here, there] = [
    await takePart(t, queue, await open({ timing })),
    await takePart(t, queue, await open({ timing })),
  ];
  const { id } = await here.all.install(wanted, who);
  await until('it is there', () => there.all.get(id) !== undefined);
  t.match(there.all.get(id)?.settings, { name: 'Shop', region: 'us', enabled: true });
  t.equal(there.all.forIngest()?.id, id);
  t.equal(there.tokens.get(id), 'first-access-token');

  await there.all.change(id, { name: 'Store', accessToken: 'second-access-token' }, who);
  await until('the new token is taken', () => here.tokens.get(id) === 'second-access-token');
  t.match(here.all.get(id)?.settings, { name: 'Store', revision: { number: 2 } });
  await until('and asked about, so that a hold ends', () => here.checks.includes('second-access-token'));
  const checked = there.checks.length;

  await here.all.pause(id, who);
  await until('it is paused', () => there.all.get(id)?.delivery.isPaused());
  await there.all.resume(id, who);
  await until('it goes on', () => !here.all.get(id)?.delivery.isPaused());
  t.equal(there.checks.length, checked, 'nothing else was asked of Intercom');

  await t.rejects(
    there.all.install({ ...wanted, name: 'Store' }, who),
    /an integration named "Store" is installed already/,
  );
  await there.all.remove(id, false, who);
  t.equal(here.all.get(id), undefined, 'before the removal is answered, it is gone everywhere');
  t.ok(here.stopped.includes(id));
  t.strictSame(await queue.installations(), []);
  t.strictSame([here.opened, there.opened], [[id], [id]], 'each has delivered for it once');
});

t.test('changes that meet are made one after the other', async (t) => {
  const { db, open } = await openTogether(t);
  const queue = await openQueue(t, db);
  const [here, there] = [
    await takePart(t, queue, await open({ timing })),
    await takePart(t, queue, await open({ timing })),
  ];
  const results = await Promise.allSettled([here.all.install(wanted, who), there.all.install(wanted, who)]);
  t.strictSame(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const id = (await queue.installations())[0]!.id;
  await Promise.all([here.all.change(id, { name: 'Renamed' }, who), there.all.pause(id, who)]);
  for (const { all } of [here, there]) {
    await until('both are known', () => all.get(id)?.settings.name === 'Renamed' && !all.get(id)!.settings.enabled);
  }
});

t.test(
  'a removal whose replica died is ended by the next change, and nothing is accepted for it till then',
  async (t) => {
    const { db, open } = await openTogether(t);
    const queue = await openQueue(t, db);
    const here = await takePart(t, queue, await open({ timing }));
    const { id, settings } = await here.all.install(wanted, who);
    await queue.keepInstallation(id, JSON.stringify({ ...settings, isLeaving: true }), null);
    await until('it is gone', () => here.all.get(id) === undefined);
    t.equal((await queue.installations()).length, 1);
    await here.all.install({ ...wanted, name: 'Another' }, who);
    t.notOk((await queue.installations()).some((one) => one.id === id));
  },
);

t.test('who learns of a removal when it is over discards what it may have accepted since', async (t) => {
  const { db, open } = await openTogether(t);
  const queue = await openQueue(t, db);
  const [here, there] = [
    await takePart(t, queue, await open({ timing })),
    await takePart(t, queue, await open({ timing })),
  ];
  const { id } = await there.all.install(wanted, who);
  await until('it has taken it over', () => here.all.get(id) !== undefined);
  const event = { ...newEvent('u', 'late'), installation: id };
  const [receipt] = await queue.enqueue([event]);
  await db.query('DELETE FROM installation WHERE id = $1', [id]);
  await until('it has learnt of it', () => here.all.get(id) === undefined);
  await until('no event waits for nobody', async () => (await queue.stats(id)).queued === 0);
  t.match((await queue.states([receipt!.id])).get(receipt!.id), { status: 'filtered', reason: 'installation_removed' });
});

/** A queue whose installations are in the database that the replicas share. */
async function openQueue(t: Test, db: Database): Promise<Queue> {
  const queue = await openSqliteQueue({ path: join(temporaryFolder(t), 'queue.db') });
  t.teardown(() => queue.close());
  return {
    ...queue,
    installations: () => db.query<{ id: string; record: string }>('SELECT id, record FROM installation ORDER BY n'),
    async keepInstallation(id, record) {
      await db.query(
        `INSERT INTO installation (id, record) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET record = excluded.record`,
        [id, record],
      );
    },
    async removeInstallation(id, audit) {
      await db.query('DELETE FROM installation WHERE id = $1', [id]);
      await queue.removeInstallation(id, audit);
    },
  };
}

/** The installations of a replica, with deliveries that only say what is asked of them. */
async function takePart(t: Test, queue: Queue, replica: Replicas) {
  const tokens = new Map<string, string>();
  const checks: string[] = [];
  const opened: string[] = [];
  const stopped: string[] = [];
  const all: Installations = await openInstallations({
    queue,
    vault,
    environment: null,
    urlOf: () => 'http://127.0.0.1:9',
    tryOut: async () => ({ ok: true, workspace: { id: 'w', name: 'W', region: null } }),
    shared: replica.installations,
    open(id, target, isPaused) {
      opened.push(id);
      tokens.set(id, target.accessToken);
      return deliveryOf(id, target, isPaused);
    },
  });
  t.teardown(() => all.stop(0));

  function deliveryOf(id: string, { accessToken }: Target, isPausedAtFirst: boolean): Delivery {
    let isPaused = isPausedAtFirst;
    const open: GateState = { open: true };
    return {
      gate: () => open,
      quota: () => ({ limit: null, used: 0, waiting: 0, windowEndsAtMs: 0 }),
      destination: {
        rehearse() {
          throw new Error('nothing is sent');
        },
      },
      workspace: () => null,
      isPaused: () => isPaused,
      pause: () => (isPaused = true),
      resume: () => (isPaused = false),
      retarget: (next) => void tokens.set(id, next.accessToken),
      async check() {
        checks.push(tokens.get(id) ?? accessToken);
        return open;
      },
      wake: () => {},
      stop: async () => void stopped.push(id),
    };
  }
  return { all, tokens, checks, opened, stopped };
}
