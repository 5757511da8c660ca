import type { Test } from 'tap';
import { until } from '../service.ts';
import { killMany } from './new-events.ts';
import type { Attempt, Job, Lease, NewEvent, Queue, Receipt, Retry } from '../../src/queue/queue.ts';

/** What every engine must keep of the queue's contract. `open` opens the same storage again after a close. */
export type OpenEngine = (t: Test, options: { holdAnonymous: boolean }) => { open(): Promise<Queue> };

const attempt: Attempt = { intercomStatus: 202, calls: 1, ms: 3, exchange: null };
const all = { installation: 'default', people: 100, jobsEach: 100 };

export function conformance(t: Test, openEngine: OpenEngine): void {
  const withQueue = (
    title: string,
    check: (t: Test, queue: Queue, reopen: () => Promise<Queue>) => Promise<void>,
    options = { holdAnonymous: false },
  ): void => {
    void t.test(title, async (t) => {
      const engine = openEngine(t, options);
      let queue = await engine.open();
      t.teardown(() => queue.close());
      await check(t, queue, async () => {
        await queue.close();
        queue = await engine.open();
        return queue;
      });
    });
  };

  withQueue('an event is leased, settled, and its state told', async (t, queue) => {
    const [receipt] = await queue.enqueue([event('u', 'm')]);
    t.match(receipt, { duplicate: false, status: 'queued' });
    const [lease] = await queue.lease(all);
    t.match(lease, {
      person: 'user:u',
      installation: 'default',
      record: null,
      jobs: [{ id: receipt!.id, attempt: 1, payload: '{"n":"m"}' }],
    });
    await queue.settle(lease!, {
      done: [{ id: receipt!.id, status: 'delivered', reason: null, attempt }],
      record: '{"a":1}',
    });
    await queue.release(lease!);
    t.match((await queue.states([receipt!.id])).get(receipt!.id), {
      status: 'delivered',
      intercomStatus: 202,
      calls: 1,
    });
    t.match(await queue.stats(), { accepted: 1, delivered: 1, filtered: 0, dead: 0, queued: 0, people: 0 });
  });

  withQueue('a messageId is taken once, in one call, across calls and after a reopening', async (t, queue, reopen) => {
    const receipts = await queue.enqueue([event('u', 'm'), event('u', 'm'), event('v', 'm')]);
    t.strictSame(
      receipts.map(({ duplicate }) => duplicate),
      [false, true, true],
    );
    t.match(receipts[2], { id: receipts[0]!.id, original: { status: 'queued' } });
    const other = await reopen();
    t.match(await other.enqueue([event('u', 'm')]), [{ duplicate: true, id: receipts[0]!.id }]);
    t.match(
      await other.enqueue([{ ...event('u', 'm'), installation: 'second' }]),
      [{ duplicate: false }],
      'each installation has its own',
    );
  });

  withQueue('a filtered event is kept, counted and never leased', async (t, queue) => {
    const [receipt] = await queue.enqueue([{ ...event('u', 'm'), filtered: 'consent_functional' }]);
    t.match(receipt, { status: 'filtered' });
    t.strictSame(await queue.lease(all), []);
    t.match((await queue.states([receipt!.id])).get(receipt!.id), { status: 'filtered', reason: 'consent_functional' });
    t.match(await queue.stats(), { accepted: 1, filtered: 1, queued: 0 });
  });

  withQueue('a preview answers as enqueue would, and leaves no trace', async (t, queue) => {
    await queue.enqueue([event('u', '1'), byEmail('a@x.test', '2')]);
    for (const lease of await queue.lease(all)) await settleAll(queue, lease, `{"of":"${lease.person}"}`);
    await queue.enqueue([byEmail('a@x.test', '3')]);
    const before = await queue.stats();
    const withheld = { functional: false, marketing: true };
    const coming = [
      event('u', '1'),
      { ...event('u', '4'), email: 'a@x.test', consent: withheld },
      { ...byEmail('a@x.test', '5'), filtered: 'consent_functional' },
      event('new', '6'),
    ];
    const preview = await queue.preview(coming);
    t.match(preview.receipts, [
      { duplicate: true, original: { status: 'delivered' } },
      { duplicate: false, status: 'queued' },
      { duplicate: false, status: 'filtered', reason: 'consent_functional' },
      { duplicate: false, status: 'queued' },
    ]);
    t.strictSame(preview.people, ['user:u', 'user:u', 'user:u', 'user:new']);
    t.strictSame(preview.views, [
      {
        person: 'user:u',
        record: '{"of":"user:u"}',
        joined: ['{"of":"email:a@x.test"}'],
        consent: { ...withheld, atMs: 10_000 },
        queued: 1,
      },
      { person: 'user:new', record: null, joined: [], consent: null, queued: 0 },
    ]);
    t.strictSame(await queue.stats(), before);
    t.strictSame((await queue.preview([byEmail('a@x.test', '7')])).people, ['email:a@x.test'], 'nobody was joined');
    const told = (receipts: Receipt[]) => receipts.map((one) => (one.duplicate ? one : { ...one, id: '' }));
    t.strictSame(told(await queue.enqueue(coming)), told(preview.receipts), 'and what was foretold comes true');
  });

  withQueue(
    'an erased person leaves nothing but the job to erase it, which waits for what is in flight',
    async (t, queue) => {
      await queue.enqueue([byEmail('a@x.test', '1')]);
      for (const lease of await queue.lease(all)) await settleAll(queue, lease, '{"of":"lead"}');
      await queue.enqueue([event('u', '2'), event('v', 'other')]);
      const [flying, other] = await queue.lease(all);
      const joining = { ...event('u', '3'), email: 'a@x.test', consent: { functional: false, marketing: false } };
      const [, id] = await Promise.all([queue.enqueue([joining]), queue.erase('default', 'email:a@x.test')]);
      t.equal(await queue.standing(flying!), null, 'the lease is void');
      t.ok(await queue.standing(other!), "another's is not");
      t.match(await queue.person('default', 'email:a@x.test'), {
        person: 'email:a@x.test',
        aliases: [],
        record: null,
        consent: null,
        queued: 0,
      });
      const { events } = await queue.find(
        { installation: 'default', people: ['user:u', 'email:a@x.test'] },
        { limit: 10, before: null },
      );
      t.strictSame(events, []);
      await queue.enqueue([event('u', '4')]);
      t.strictSame(await queue.lease(all), [], 'nobody goes on before the call in flight has ended');
      await queue.settle(flying!, {
        done: [{ id: flying!.jobs[0]!.id, status: 'delivered', reason: null, attempt }],
        record: '{"of":"flight"}',
      });
      await queue.release(flying!);
      const erasing = await leaseWhenDue(queue);
      t.match(erasing, {
        person: `erasure:${id}`,
        erasure: { id, userId: 'u', emails: ['a@x.test'] },
        record: '{"of":"flight"}',
        joined: ['{"of":"lead"}'],
        jobs: [{ id, payload: '{"type":"erasure"}' }],
      });
      t.match(await queue.erasure(id), { status: 'running', endedAtMs: null });
      t.strictSame(await queue.lease(all), [], 'nor before the erasure has ended');
      await settleAll(queue, erasing, '{"of":"nobody"}');
      t.match(await queue.erasure(id), { status: 'done', calls: 1 });
      t.match(await leaseWhenDue(queue), { person: 'user:u', record: null, joined: [], erasure: null });
      await settleAll(queue, other!);
      t.match(await queue.stats(), { accepted: 6, delivered: 3, filtered: 2, dead: 0, queued: 1 });
    },
  );

  withQueue('an erasure goes on after a reopening, and so does who waits for it', async (t, queue, reopen) => {
    await queue.enqueue([event('u', '1')]);
    for (const lease of await queue.lease(all)) await settleAll(queue, lease, '{"a":1}');
    const id = await queue.erase('default', 'user:u');
    await queue.enqueue([event('u', '2')]);
    const other = await reopen();
    const [erasing, ...others] = await other.lease(all);
    t.match(erasing, { erasure: { id, userId: 'u', emails: [] }, record: '{"a":1}' });
    t.strictSame(others, []);
    await settleAll(other, erasing!);
    t.match(await leaseWhenDue(other), { person: 'user:u', record: null });
  });

  withQueue('a dead erasure holds nobody back, and does when it is redriven', async (t, queue) => {
    await queue.enqueue([{ ...event('u', '1'), filtered: 'consent_functional' }]);
    const id = await queue.erase('default', 'user:u');
    const [erasing] = await queue.lease(all);
    await queue.settle(erasing!, { done: [{ id, status: 'dead', reason: 'invalid_request', attempt }] });
    await queue.release(erasing!);
    t.match(await queue.erasure(id), { status: 'dead', reason: 'invalid_request' });
    await queue.enqueue([event('u', '2')]);
    const [lease] = await queue.lease(all);
    t.match(lease, { person: 'user:u' });
    await settleAll(queue, lease!);
    t.equal(await queue.redrive([id]), 1);
    await queue.enqueue([event('u', '3')]);
    const [again, ...others] = await queue.lease(all);
    t.match(again, { erasure: { id, userId: 'u' } });
    t.strictSame(others, []);
  });

  withQueue(
    'a person is held by one lease at a time, and has the jobs in the order of acceptance',
    async (t, queue) => {
      await queue.enqueue(['1', '2', '3'].map((id) => event('u', id)));
      const [lease] = await queue.lease({ installation: 'default', people: 10, jobsEach: 2 });
      t.strictSame(payloads(lease), ['1', '2']);
      t.ok(lease!.more);
      await queue.enqueue([event('u', '4'), event('v', '5')]);
      t.strictSame(
        (await queue.lease(all)).map(({ person }) => person),
        ['user:v'],
      );
      await settleAll(queue, lease!);
      const [rest] = await queue.lease(all);
      t.strictSame(payloads(rest), ['3', '4']);
    },
  );

  withQueue('a retry waits with its person and nobody else', async (t, queue) => {
    await queue.enqueue([event('u', '1'), event('u', '2'), event('v', '3')]);
    const [first, second] = await queue.lease(all);
    await queue.release(first!, { ...retry(first!), afterMs: 600_000 });
    t.strictSame(await queue.lease(all), []);
    await queue.release(second!);
    t.strictSame(
      (await queue.lease(all)).map(({ person }) => person),
      ['user:v'],
    );
    t.match(await queue.stats(), { waiting: 1, leased: 1 });
  });

  withQueue('when the time of a retry has come, it is told, and leased with the attempt counted', async (t, queue) => {
    await queue.enqueue([event('u', '1'), event('u', '2')]);
    const [lease] = await queue.lease(all);
    const due = new Promise<void>((resolve) => queue.onDue(() => resolve()));
    await queue.release(lease!, { ...retry(lease!), afterMs: 50 });
    await due;
    t.match(await leaseWhenDue(queue), { person: 'user:u', jobs: [{ attempt: 2 }, { attempt: 1 }] });
  });

  withQueue(
    'an earlier job goes in front of one that waits for its retry, which waits for its time all the same',
    async (t, queue, reopen) => {
      const [first] = await queue.enqueue([event('u', '1'), event('u', '2'), event('u', '3')]);
      const [head] = await queue.lease({ installation: 'default', people: 1, jobsEach: 1 });
      await queue.settle(head!, { done: [{ id: first!.id, status: 'dead', reason: 'invalid_request', attempt }] });
      await queue.release(head!);
      const [second] = await queue.lease(all);
      await queue.release(second!, { ...retry(second!), afterMs: 600_000 });
      await queue.redrive([first!.id]);
      const [redriven] = await queue.lease(all);
      t.strictSame(payloads(redriven), ['1']);
      t.ok(redriven!.more);
      await settleAll(queue, redriven!);
      t.strictSame(await queue.lease(all), []);
      t.match(await queue.stats(), { waiting: 1, queued: 2 });
      t.strictSame(await (await reopen()).lease(all), [], 'also after a reopening');
    },
  );

  withQueue('a job that waits for its retry does so in the line of whom its person is joined to', async (t, queue) => {
    await queue.enqueue([event('u', '1'), byEmail('e@x', '2'), event('u', '3')]);
    const lead = (await queue.lease(all)).find(({ person }) => person === 'email:e@x')!;
    await queue.release(lead, { ...retry(lead), afterMs: 600_000 });
    await queue.enqueue([{ ...event('v', '4'), email: 'e@x' }]);
    t.strictSame(await queue.lease(all), [], 'what follows it waits with it');
  });

  withQueue('a retry of a later job makes those before it wait, too', async (t, queue, reopen) => {
    await queue.enqueue([event('u', '1'), event('u', '2'), event('u', '3')]);
    const [lease] = await queue.lease(all);
    await queue.release(lease!, { ...retry(lease!), id: lease!.jobs[1]!.id, afterMs: 600_000 });
    t.strictSame(await queue.lease(all), []);
    t.strictSame(await (await reopen()).lease(all), [], 'also after a reopening');
  });

  withQueue(
    "an event tells Intercom's last answer and the calls of all its attempts, also while it is queued",
    async (t, queue) => {
      const [receipt] = await queue.enqueue([event('u', '1')]);
      const told = async () => {
        const { events } = await queue.find({}, { limit: 1, before: null });
        const state = (await queue.states([receipt!.id])).get(receipt!.id);
        for (const other of [events[0], await queue.detail(receipt!.id)]) t.match(other, { ...state });
        return events[0];
      };
      for (const [intercomStatus, calls] of [
        [500, 2],
        [503, 1],
      ] as const) {
        const [lease] = await queue.lease(all);
        await queue.release(lease!, { ...retry(lease!), attempt: { ...attempt, intercomStatus, calls } });
      }
      t.match(await told(), { status: 'queued', intercomStatus: 503, calls: 3, attempts: 2 });
      const [lease] = await queue.lease(all);
      const done = { id: receipt!.id, status: 'dead' as const, reason: 'invalid_request' };
      await queue.settle(lease!, { done: [{ ...done, attempt: { ...attempt, intercomStatus: 400 } }] });
      await queue.release(lease!);
      t.match(await told(), { status: 'dead', intercomStatus: 400, calls: 4, attempts: 3 });
      await queue.redrive([receipt!.id]);
      t.match(await told(), { status: 'queued', intercomStatus: null, calls: 0, attempts: 0 }, 'begins anew');
      const [again] = await queue.lease(all);
      t.match(again, { jobs: [{ attempt: 1 }] });
      await settleAll(queue, again!);
      t.match(await told(), { status: 'delivered', intercomStatus: 202, calls: 1, attempts: 1 });
    },
  );

  withQueue('a hold gives the person back without counting an attempt', async (t, queue) => {
    await queue.enqueue([event('u', '1')]);
    const [lease] = await queue.lease(all);
    await queue.release(lease!, { ...retry(lease!), countAttempt: false });
    t.match(await queue.lease(all), [{ jobs: [{ attempt: 1 }] }]);
  });

  withQueue('what comes for an ended lease changes nothing', async (t, queue) => {
    const [receipt] = await queue.enqueue([event('u', '1')]);
    const [old] = await queue.lease(all);
    await queue.release(old!);
    const [current] = await queue.lease(all);
    await queue.settle(old!, { done: [{ id: receipt!.id, status: 'dead', reason: 'late', attempt }] });
    await queue.release(old!);
    t.match((await queue.states([receipt!.id])).get(receipt!.id), { status: 'queued' });
    t.strictSame(await queue.lease(all), [], 'the person is still held by the current lease');
    await settleAll(queue, current!);
    t.match(await queue.stats(), { delivered: 1, dead: 0 });
  });

  withQueue(
    'after a reopening the queue goes on where it was: order, retry time, record, chosen second',
    async (t, queue, reopen) => {
      const receipts = await queue.enqueue([event('u', '1'), event('u', '2'), event('w', '3')]);
      const leases = await queue.lease(all);
      const ofU = leases.find(({ person }) => person === 'user:u')!;
      await queue.settle(ofU, {
        done: [{ id: receipts[0]!.id, status: 'delivered', reason: null, attempt }],
        record: '{"known":1}',
        shared: [{ key: 'company:c', record: '{"id":2}' }],
        chosen: [{ id: receipts[1]!.id, createdAtSeconds: 77 }],
      });
      const other = await reopen();
      const again = await other.lease(all);
      t.match(
        again.find(({ person }) => person === 'user:u'),
        { record: '{"known":1}', jobs: [{ createdAtSeconds: 77 }] },
      );
      t.equal(await other.record('default', 'company:c'), '{"id":2}');
      t.equal(await other.record('default', 'company:d'), null);
      t.match(await other.stats(), { accepted: 3, delivered: 1, queued: 2 });
    },
  );

  withQueue('an email and its user become one person, in order of acceptance', async (t, queue) => {
    await queue.enqueue([
      byEmail('e@x', '1'),
      event('u', '2'),
      byEmail('e@x', '3'),
      { ...event('u', '4'), email: 'e@x' },
      byEmail('e@x', '5'),
    ]);
    const leases = await queue.lease(all);
    t.match(leases, [{ person: 'user:u' }]);
    t.strictSame(payloads(leases[0]), ['1', '2', '3', '4', '5']);
  });

  withQueue('a person that is joined while its jobs are in flight goes on after them', async (t, queue) => {
    await queue.enqueue([byEmail('e@x', '1'), byEmail('e@x', '2')]);
    const [lead] = await queue.lease({ installation: 'default', people: 1, jobsEach: 1 });
    await queue.enqueue([event('u', '3'), { ...event('u', '4'), email: 'e@x' }]);
    t.strictSame(await queue.lease(all), [], 'the user waits for its own lead');
    await settleAll(queue, lead!, '{"lead":true}');
    const [user] = await queue.lease(all);
    t.match(user, { person: 'user:u', record: null, joined: ['{"lead":true}'] });
    t.strictSame(payloads(user), ['2', '3', '4']);
    await settleAll(queue, user!, '{"user":true}');
    await queue.enqueue([byEmail('e@x', '5')]);
    t.match(await queue.lease(all), [{ person: 'user:u', record: '{"user":true}', joined: [] }]);
  });

  withQueue(
    'a record that comes after the person was joined is handed on, though no job was left',
    async (t, queue) => {
      const [receipt] = await queue.enqueue([byEmail('e@x', '1')]);
      const [lead] = await queue.lease(all);
      await queue.settle(lead!, { done: [{ id: receipt!.id, status: 'delivered', reason: null, attempt }] });
      await queue.enqueue([{ ...event('u', '2'), email: 'e@x' }]);
      await queue.settle(lead!, { done: [], record: '{"lead":true}' });
      await queue.release(lead!);
      t.match(await queue.lease(all), [{ person: 'user:u', joined: ['{"lead":true}'] }]);
    },
  );

  withQueue(
    "what a visitor did before the login stays known as such, after a redrive and on the next user's device",
    async (t, queue, reopen) => {
      const visit = (messageId: string): NewEvent => ({ ...event('', messageId), userId: null, anonymousId: 'd' });
      const wasHeld = (lease: Lease | undefined) => lease?.jobs.map((job) => [payloadOf(job), job.wasHeld]);
      const receipts = await queue.enqueue([visit('1'), visit('2'), { ...event('u', '3'), anonymousId: 'd' }]);
      const [lease] = await queue.lease(all);
      const held = [
        ['1', true],
        ['2', true],
        ['3', false],
      ];
      t.strictSame(wasHeld(lease), held);
      const done = { id: receipts[0]!.id, status: 'dead' as const, reason: 'invalid_request', attempt };
      await queue.settle(lease!, { done: [done] });
      await queue.release(lease!);
      await queue.redrive([done.id]);
      await queue.enqueue([{ ...event('v', '4'), anonymousId: 'd' }, visit('5')]);
      const [ofU, ofV] = await (await reopen()).lease(all);
      t.strictSame(wasHeld(ofU), held);
      t.strictSame(
        wasHeld(ofV),
        [
          ['4', false],
          ['5', false],
        ],
        'a known device waits for nothing',
      );
    },
    { holdAnonymous: true },
  );

  withQueue('two userIds are never joined, and a shared email stays with the first', async (t, queue) => {
    await queue.enqueue([
      { ...event('a', '1'), email: 'e@x' },
      { ...event('b', '2'), email: 'e@x' },
      byEmail('e@x', '3'),
    ]);
    const leases = await queue.lease(all);
    t.strictSame(
      leases.map((lease) => [lease.person, payloads(lease)]),
      [
        ['user:a', ['1', '3']],
        ['user:b', ['2']],
      ],
    );
  });

  withQueue('the newest consent is told with the lease, also that of a joined person', async (t, queue) => {
    const refusal = { functional: false, marketing: true };
    await queue.enqueue([{ ...byEmail('e@x', '1'), consent: refusal, atMs: 5000, filtered: 'consent_functional' }]);
    await queue.enqueue([{ ...byEmail('e@x', '2'), consent: { functional: true, marketing: true }, atMs: 4000 }]);
    await queue.enqueue([{ ...event('u', '3'), email: 'e@x' }]);
    t.match(await queue.lease(all), [
      { person: 'user:u', consent: { functional: false, marketing: true, atMs: 5000 } },
    ]);
  });

  withQueue('what holds for a lease is told as of everything that was acknowledged', async (t, queue) => {
    const both = { functional: true, marketing: true };
    await queue.enqueue([byEmail('e@x', '1'), event('other', '2')]);
    const leases = await queue.lease(all);
    const lease = leases.find(({ person }) => person === 'email:e@x')!;
    t.strictSame(await queue.standing(lease), { consent: null });
    const refusal = { functional: false, marketing: true };
    await queue.enqueue([{ ...byEmail('e@x', '3'), consent: refusal, atMs: 5000, filtered: 'consent_functional' }]);
    t.strictSame(await queue.standing(lease), { consent: { ...refusal, atMs: 5000 } });
    await queue.enqueue([{ ...event('u', '4'), email: 'e@x', consent: both, atMs: 6000 }]);
    t.strictSame(await queue.standing(lease), { consent: { ...both, atMs: 6000 } }, 'also once it is somebody else');
    t.strictSame(await queue.standing(leases.find((one) => one !== lease)!), { consent: null });
    await queue.release(lease);
    t.equal(await queue.standing(lease), null, 'a lease that has ended');
  });

  withQueue(
    'a redriven dead letter goes back to its place, with its identity and its second',
    async (t, queue, reopen) => {
      const receipts = await queue.enqueue([event('u', '1'), event('u', '2'), event('u', '3')]);
      const [lease] = await queue.lease({ installation: 'default', people: 1, jobsEach: 1 });
      const done = { id: receipts[0]!.id, status: 'dead' as const, reason: 'invalid_request', attempt };
      await queue.settle(lease!, { done: [done], chosen: [{ id: done.id, createdAtSeconds: 99 }] });
      await queue.release(lease!);
      t.equal(await queue.redrive([done.id, done.id, receipts[1]!.id, 'evt_nonsense']), 1, 'only what is dead');
      t.match(await queue.stats(), { accepted: 3, dead: 0, queued: 3 });
      const [again] = await queue.lease(all);
      t.strictSame(payloads(again), ['1', '2', '3']);
      t.match(again!.jobs[0], { id: done.id, createdAtSeconds: 99, attempt: 1 });
      const other = await reopen();
      t.strictSame(payloads((await other.lease(all))[0]), ['1', '2', '3']);
      t.match(await other.enqueue([event('u', '1')]), [{ duplicate: true, original: { status: 'queued' } }]);
    },
  );

  withQueue('events are told by id, as the search tells them, and by a text of theirs', async (t, queue) => {
    const [first, second] = await queue.enqueue([
      { ...event('u', '1'), payload: '{"a":"needle"}' },
      { ...event('u', '2'), filtered: 'mapping_dropped' },
    ]);
    const found = (await queue.find({}, { limit: 10, before: null })).events;
    const ids = [second!.id, 'evt_nonsense', 'evt_000000zzz', first!.id];
    t.strictSame(await queue.summaries(ids), found);
    t.match(await queue.summaries(ids, 'needle'), [{ id: first!.id, status: 'queued' }]);
    t.strictSame(await queue.summaries([]), []);
  });

  withQueue('dead letters are counted, grouped by cause, and walked from the oldest on', async (t, queue) => {
    const ids = await killMany(queue, 5200);
    const upTo = ids.at(-1)!;
    t.equal(await queue.countDead({}), ids.length, 'over several looks');
    t.equal(await queue.countDead({ reason: 'expired' }), ids.length / 2);
    t.equal(await queue.countDead({ text: '"m7"' }), 1);
    t.equal(await queue.countDead({ installation: 'second' }), 0);
    const walked: string[] = [];
    for (let after: string | null | undefined; after !== null;) {
      const page = await queue.walkDead({ reason: 'expired' }, { limit: 2000, after: after ?? null, upTo });
      walked.push(...page.ids);
      after = page.next;
    }
    t.strictSame(
      walked,
      ids.filter((_, n) => n % 2 === 0),
    );
    t.strictSame(await queue.walkDead({}, { limit: 10, after: null, upTo: ids[2]! }), {
      ids: ids.slice(0, 3),
      next: null,
    });
    t.strictSame(await queue.walkDead({}, { limit: 10, after: null, upTo: 'evt_nonsense' }), { ids: [], next: null });
    const [bugs, expired] = [ids.filter((_, n) => n % 2 === 1), walked];
    const { causes, since } = await queue.causes('dead');
    t.strictSame(
      causes.toSorted((a, b) => a.reason.localeCompare(b.reason)),
      [
        { reason: 'bug', count: bugs.length, oldest: bugs[0], newest: bugs.at(-1) },
        { reason: 'expired', count: expired.length, oldest: expired[0], newest: expired.at(-1) },
      ],
    );
    t.equal(since, null);
    t.strictSame(await queue.causes('dead', 'second'), { causes: [], since: null });
  });

  withQueue('filtered events are grouped by cause, each installation its own', async (t, queue) => {
    const one = { ...event('u', '1'), filtered: 'mapping_dropped' };
    const receipts = await queue.enqueue([
      one,
      { ...one, messageId: '2' },
      { ...one, messageId: '3', installation: 'second', filtered: 'consent_marketing' },
      event('u', '4'),
    ]);
    const dropped = { reason: 'mapping_dropped', count: 2, oldest: receipts[0]!.id, newest: receipts[1]!.id };
    t.strictSame(await queue.causes('filtered', 'default'), { causes: [dropped], since: null });
    t.equal((await queue.causes('filtered')).causes.length, 2);
    t.strictSame((await queue.causes('dead')).causes, []);
  });

  withQueue(
    'what many hand over at once is all kept, each once, and each person in order',
    async (t, queue, reopen) => {
      const ids = Array.from({ length: 2000 }, (_, n) => `m${n}`);
      const receipts = (await Promise.all(ids.map((id, n) => queue.enqueue([event(`u${n % 50}`, id)])))).flat();
      t.equal(new Set(receipts.map(({ id }) => id)).size, ids.length);
      const other = await reopen();
      const leases = await other.lease({ installation: 'default', people: 100, jobsEach: 1000 });
      const kept = leases.flatMap(({ jobs }) => jobs.map(({ id }) => id));
      t.equal(kept.length, ids.length);
      t.strictSame(kept.toSorted(), receipts.map(({ id }) => id).toSorted());
      const turnOf = new Map(receipts.map(({ id }, turn) => [id, turn]));
      const inOrder = leases.filter(({ jobs }) => {
        const turns = jobs.map(({ id }) => turnOf.get(id)!);
        return turns.join() === turns.toSorted((a, b) => a - b).join();
      });
      t.equal(inOrder.length, 50, 'as they were handed over, though nobody waited for the one before');
    },
  );
}

function event(userId: string, messageId: string): NewEvent {
  return {
    installation: 'default',
    messageId,
    type: 'track',
    name: 'A',
    userId,
    email: null,
    anonymousId: null,
    receivedAtMs: 10_000,
    atMs: 10_000,
    payload: JSON.stringify({ n: messageId }),
    decision: '{}',
    consent: null,
    filtered: null,
  };
}

function retry(lease: Lease): Retry {
  return { id: lease.jobs[0]!.id, afterMs: 0, countAttempt: true, reason: 'server_error', attempt };
}

function byEmail(email: string, messageId: string): NewEvent {
  return { ...event('', messageId), userId: null, email };
}

function payloads(lease: Lease | undefined): unknown[] {
  return (lease?.jobs ?? []).map(payloadOf);
}

const payloadOf = ({ payload }: Job): unknown => JSON.parse(payload).n;

async function settleAll(queue: Queue, lease: Lease, record?: string): Promise<void> {
  await queue.settle(lease, {
    done: lease.jobs.map(({ id }) => ({ id, status: 'delivered', reason: null, attempt })),
    record,
  });
  await queue.release(lease);
}

/** `onDue` may come a little early: it promises that a look is worth while, not that something is due. */
async function leaseWhenDue(queue: Queue): Promise<Lease> {
  return until('somebody is due', async () => (await queue.lease(all))[0]);
}
