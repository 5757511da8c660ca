import assert from 'node:assert/strict';
import type { Attempt, LeaseLimits, NewEvent, Progress, Receipt, Retry } from '../../src/queue/queue.ts';
import { createQueueModel, type OpenLease } from './model.ts';
import type { Settling, SmallEvent, Step, Write } from './steps.ts';
import type { Call, Subject } from './subjects.ts';

/** Takes the steps with the queue and its model side by side, and in the end brings everything home. */
export async function walk(subject: Subject, path: Step[], options: { holdAnonymous: boolean }): Promise<void> {
  const model = createQueueModel(options);
  let serial = 0;

  async function take(step: Step): Promise<void> {
    if (step.do === 'lease') await lease(step);
    else if (step.do === 'pass') subject.pass(step.ms);
    else if (step.do === 'fail') subject.failNextCommit();
    else if (step.do === 'together') await write(step.writes.map(prepare));
    else if (step.do === 'crash' || step.do === 'reopen') {
      await subject[step.do]();
      model.restarted();
    } else await write([prepare(step)]);
  }

  async function write(writes: Prepared[]): Promise<void> {
    const results = await subject.write(writes.map(({ call }) => call));
    // Undefined: the transaction failed, and the model goes on as if nothing had been asked.
    results?.forEach((result, index) => writes[index]!.judge(result));
  }

  function prepare(step: Write): Prepared {
    serial += 1;
    if (step.do === 'enqueue')
      return enqueue(step.events.map((event, index) => newEvent(event, subject.nowMs(), `${serial}.${index}`)));
    if (step.do === 'join') return join(step, `${serial}.0`);
    if (step.do === 'redrive') {
      const all = model.ids();
      const ids = step.picks.map((pick) => all[pick % all.length] ?? 'evt_000000000');
      return {
        call: (ops) => ops.redrive(ids),
        judge: (result) => model.judgeRedriven(ids, Number(result)),
      };
    }
    const current = model.leases().filter(({ ended }) => !ended);
    // Now and then one that has ended: what comes for it changes nothing.
    const among = step.lease < 17 && current.length > 0 ? current : model.leases();
    const open = among[step.lease % among.length];
    if (!open) return nothing;
    if (step.do === 'settle') return settle(open, progressOf(open, step, serial));
    return release(open, step.retry ? retryOf(open, step.retry) : undefined);
  }

  function enqueue(events: NewEvent[]): Prepared {
    return {
      call: (ops) => ops.enqueue(events),
      judge: (result) => model.judgeEnqueued(events, result as Receipt[]),
    };
  }

  function join({ lease, user }: Write & { do: 'join' }, number: string): Prepared {
    const leads = model.leases().filter(({ ended, person }) => !ended && person.includes('email:'));
    const lead = leads[lease % leads.length];
    if (!lead) return nothing;
    const [installation, email] = lead.person.split('/email:');
    const event = newEvent({ ...plain, user }, subject.nowMs(), number);
    return enqueue([{ ...event, installation: installation!, email: email!, messageId: `join ${number}` }]);
  }

  function settle(open: OpenLease, progress: Progress): Prepared {
    const { lease } = open;
    return {
      call: (ops) => ops.settle(lease, progress),
      judge: () => model.settled(open, progress),
    };
  }

  function release(open: OpenLease, retry?: Retry): Prepared {
    const nowMs = subject.nowMs();
    const { lease } = open;
    return {
      call: (ops) => ops.release(lease, retry),
      judge: () => model.released(open, retry, nowMs),
    };
  }

  async function lease(limits: LeaseLimits): Promise<OpenLease[]> {
    const leases = await subject.read((ops) => ops.lease(limits));
    return model.judgeLeased(leases, limits, subject.nowMs());
  }

  async function look(): Promise<void> {
    model.judgeStates(await subject.read((ops) => ops.states(model.ids())));
    model.judgeStats(await subject.read((ops) => ops.stats()), subject.nowMs());
    assert.equal(await subject.read((ops) => ops.record('a', 'company:c')), model.record('a/company:c'));
  }

  /** Nobody may be forgotten: when every lease and every wait is over, all is delivered. */
  async function bringHome(): Promise<void> {
    await write([]); // uses up a failure that is still to come
    for (const open of model.leases().filter(({ ended }) => !ended)) await write([release(open)]);
    subject.pass(3_600_000);
    const more = async (): Promise<OpenLease[]> => [
      ...(await lease({ installation: 'a', ...handful })),
      ...(await lease({ installation: 'b', ...handful })),
    ];
    for (let leases = await more(); leases.length > 0; leases = await more()) {
      for (const open of leases) {
        const all = {
          from: 0,
          count: 2,
          status: 'delivered',
          record: true,
          shared: false,
          chosen: false,
        } as const;
        await write([settle(open, progressOf(open, all, (serial += 1)))]);
        await write([release(open)]);
      }
      await look();
    }
  }

  for (const step of path) {
    await take(step);
    await look();
  }
  await bringHome();
  model.judgeStories(await subject.read((ops) => Promise.all(model.ids().map(ops.detail))));
}

type Prepared = { call: Call; judge: (result: unknown) => void };

const nothing: Prepared = { call: async () => {}, judge: () => {} };
const handful = { people: 3, jobsEach: 2 };

const plain: SmallEvent = {
  installation: '',
  messageId: 0,
  user: null,
  email: null,
  device: null,
  filtered: false,
  consent: null,
};

function newEvent(small: SmallEvent, nowMs: number, serial: string): NewEvent {
  const { installation, user, email, device, consent } = small;
  const isNobody = user === null && email === null && device === null;
  const { functional, marketing, agoMs } = consent ?? {
    functional: true,
    marketing: true,
    agoMs: 0,
  };
  return {
    installation,
    messageId: `m${small.messageId}`,
    type: 'track',
    name: 'A',
    userId: isNobody ? 'u0' : user === null ? null : `u${user}`,
    email: email === null ? null : `e${email}@x`,
    anonymousId: device === null ? null : `d${device}`,
    receivedAtMs: nowMs,
    atMs: nowMs - agoMs,
    payload: JSON.stringify({ serial }),
    decision: '{}',
    consent: consent ? { functional, marketing } : null,
    filtered: small.filtered ? 'consent_functional' : null,
  };
}

function progressOf(open: OpenLease, step: Settling, serial: number): Progress {
  const attempt: Attempt = {
    intercomStatus: 200 + (serial % 7),
    calls: serial % 5,
    ms: 1.5,
    exchange: null,
  };
  const { status } = step;
  const jobs = open.lease.jobs.map(({ id }) => id);
  const done = jobs.slice(step.from, step.from + step.count);
  const reason = status === 'delivered' ? null : `because ${serial}`;
  return {
    done: done.map((id) => ({ id, status, reason, attempt })),
    record: step.record ? `{"record":${serial}}` : undefined,
    shared: step.shared ? [{ key: 'company:c', record: `{"company":${serial}}` }] : undefined,
    chosen: step.chosen && jobs[0] !== undefined ? [{ id: jobs[0], createdAtSeconds: serial }] : undefined,
  };
}

function retryOf(
  open: OpenLease,
  { afterMs, countAttempt, pick }: NonNullable<(Write & { do: 'release' })['retry']>,
): Retry | undefined {
  const { jobs } = open.lease;
  const tried = jobs[pick % jobs.length];
  if (!tried) return undefined;
  const attempt: Attempt = { intercomStatus: 500, calls: 1, ms: 2, exchange: null };
  return { id: tried.id, afterMs, countAttempt, reason: 'server_error', attempt };
}
