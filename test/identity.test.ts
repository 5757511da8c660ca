import t from 'tap';
import type { Test } from 'tap';
import { createIntercomClient } from '../src/intercom/client.ts';
import { createDestination, type Step, type WorkJob } from '../src/intercom/destination.ts';
import { noRules } from '../src/intercom/mapping-rules.ts';
import { createRateLimiter } from '../src/intercom/rate-limiter.ts';
import { type Simulator, startSimulator } from '../src/simulator/simulator.ts';
import { token } from './service.ts';

// What takes the minutes that the search index lags: told by a clock of its own.

const minute = 60_000;
const plan = { model: 'contact', name: 'plan', data_type: 'string' } as const;

async function open(t: Test) {
  const simulator = await startSimulator({ tokens: [token], indexLagMs: 0, attributes: [plan] });
  let nowMs = Date.now();
  const client = createIntercomClient({
    target: () => ({ baseUrl: simulator.url, accessToken: token }),
    version: '2.11',
    connections: 1,
    limiter: createRateLimiter({ share: 1 }),
  });
  t.teardown(async () => {
    await client.close();
    await simulator.close();
  });
  const destination = createDestination({
    client,
    mapping: { eventNaming: 'preserve', rules: noRules },
    createAttributes: false,
    now: () => nowMs,
  });
  const never = new AbortController().signal;

  const shared = new Map<string, string>();
  const share = (records: Step['shared']): void => records.forEach(({ key, record }) => shared.set(key, record));

  async function deliver(person: string, jobs: WorkJob[], record: string | null = null, joined: string[] = []) {
    let saved = record;
    let beforeStep = record;
    const steps: Step[] = [];
    const desk = {
      patience: { stop: never, abort: never },
      async save(next: string, records: Step['shared']) {
        saved = next;
        share(records);
      },
      choose: async (_id: string, _second: number, next: string) => void (saved = next),
      shared: async (key: string) => shared.get(key) ?? null,
      alone: <T>(_key: string, work: () => Promise<T>) => work(),
      mayGoOn: async () => true,
      mayStillSend: () => true,
    };
    for await (const step of destination.deliver({ person, record, joined, jobs }, desk)) {
      steps.push(step);
      beforeStep = saved;
      saved = step.record;
      share(step.shared);
    }
    return {
      outcomes: steps.map(({ outcome }) => outcome),
      record: saved,
      /** What a crash before the last step's end would have left. */
      beforeStep,
    };
  }

  return { simulator, deliver, pass: (ms: number) => void (nowMs += ms) };
}

const job = (event: object): WorkJob => ({
  id: `evt_${JSON.stringify(event).length}`,
  receivedAtMs: 0,
  atMs: 1_772_029_800_000,
  createdAtSeconds: null,
  wasHeld: false,
  payload: JSON.stringify({ messageId: 'm', ...event }),
});
const asked = job({ type: 'track', event: 'Asked', traits: { email: 'a@example.com' } });
const login = job({ type: 'identify', userId: 'u', traits: { email: 'a@example.com', name: 'A' } });
const identify = (traits: object): WorkJob => job({ type: 'identify', userId: 'u', traits });
const roles = (simulator: Simulator) =>
  simulator.contacts().map(({ role, external_id, email }) => [role, role === 'user' ? external_id : email]);

t.test('a lead whose creation is in doubt is found by its user, once the index had time', async (t) => {
  const { simulator, deliver, pass } = await open(t);
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts', times: 1 });
  const lead = await deliver('email:a@example.com', [asked]);
  t.match(lead.outcomes, [{ kind: 'retry', reason: 'connection' }]);
  pass(minute);
  const early = await deliver('user:u', [asked, login], null, [lead.record!]);
  t.match(early.outcomes, [{ kind: 'retry', reason: 'lead_unconfirmed' }]);
  t.strictSame(roles(simulator), [['lead', 'a@example.com']]);
  pass(3 * minute);
  const late = await deliver('user:u', [asked, login], early.record);
  t.match(late.outcomes, [{ kind: 'delivered' }, { kind: 'delivered' }]);
  t.strictSame(roles(simulator), [['user', 'u']]);
  t.equal(simulator.timeline('u').length, 1);
});

t.test('a lead whose creation did not come through holds its user up no longer', async (t) => {
  const { simulator, deliver, pass } = await open(t);
  simulator.inject({ kind: 'status', status: 503, endpoint: 'POST /contacts', times: 1 });
  const lead = await deliver('email:a@example.com', [asked]);
  pass(4 * minute);
  const user = await deliver('user:u', [asked, login], null, [lead.record!]);
  t.match(user.outcomes, [{ kind: 'delivered' }, { kind: 'delivered' }]);
  t.strictSame(roles(simulator), [['user', 'u']]);
});

t.test('after an unknown end, a lead is searched for and not made again', async (t) => {
  const { simulator, deliver, pass } = await open(t);
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts', times: 1 });
  const first = await deliver('email:a@example.com', [asked]);
  pass(4 * minute);
  const second = await deliver('email:a@example.com', [asked], first.record);
  t.match(second.outcomes, [{ kind: 'delivered' }]);
  t.strictSame(roles(simulator), [['lead', 'a@example.com']]);
});

t.test('a clock that is set back by an hour makes nobody wait an hour for a lead in doubt', async (t) => {
  const { simulator, deliver, pass } = await open(t);
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /contacts', times: 1 });
  const lead = await deliver('email:a@example.com', [asked]);
  pass(-60 * minute);
  const early = await deliver('user:u', [asked, login], null, [lead.record!]);
  t.match(early.outcomes, [{ kind: 'retry', reason: 'lead_unconfirmed', afterMs: 3 * minute }]);
  pass(3 * minute);
  const late = await deliver('user:u', [asked, login], early.record);
  t.match(late.outcomes, [{ kind: 'delivered' }, { kind: 'delivered' }]);
  t.strictSame(roles(simulator), [['user', 'u']]);
});

t.test("a lead's event in doubt goes to the lead again before that becomes its user", async (t) => {
  const { simulator, deliver } = await open(t);
  await deliver('user:u', [job({ type: 'track', event: 'Asked', userId: 'u' })]);
  t.equal(simulator.timeline('u').length, 1, 'the user has an event of that name and second');
  simulator.inject({ kind: 'reset_before', endpoint: 'POST /events', times: 1 });
  const lead = await deliver('email:a@example.com', [asked]);
  t.match(lead.outcomes, [{ kind: 'retry' }]);
  const again = { ...asked, createdAtSeconds: 1_772_029_800 };
  const user = await deliver('user:u', [again, login], null, [lead.record!]);
  t.match(user.outcomes, [{ kind: 'delivered' }, { kind: 'delivered' }]);
  t.strictSame(roles(simulator), [['user', 'u']]);
  t.equal(simulator.timeline('u').length, 2);
});

t.test(
  'an event in doubt that is not sent again keeps its second: the next one of its name gets another',
  async (t) => {
    const { simulator, deliver } = await open(t);
    await deliver('user:u', [login]);
    const first = job({ type: 'track', event: 'Clicked', userId: 'u' });
    simulator.inject({ kind: 'reset_after', endpoint: 'POST /events', times: 1 });
    const inDoubt = await deliver('user:u', [first]);
    t.match(inDoubt.outcomes, [{ kind: 'retry' }]);
    // Its person has refused meanwhile: it ends as filtered, and the next one was allowed again.
    const second = { ...first, id: 'evt_second' };
    t.match((await deliver('user:u', [second], inDoubt.record)).outcomes, [{ kind: 'delivered' }]);
    t.equal(simulator.timeline('u').length, 2);
  },
);

t.test('values on their way are not taken for what Intercom has, whatever becomes of the call', async (t) => {
  const old = identify({ email: 'old@example.com', plan: 'free' });
  const inDoubt = identify({ email: 'in-doubt@example.com', plan: 'pro' });

  /** A contact that has the values in doubt, while the old ones are the last that were acknowledged. */
  async function lose(t: Test) {
    const { simulator, deliver } = await open(t);
    const known = await deliver('user:u', [old]);
    simulator.inject({ kind: 'reset_after', endpoint: 'PUT /contacts/{id}', times: 1 });
    const lost = await deliver('user:u', [inDoubt], known.record);
    t.match(lost.outcomes, [{ kind: 'retry', reason: 'connection' }]);
    t.match(simulator.contact('u'), { email: 'in-doubt@example.com', custom_attributes: { plan: 'pro' } });
    const arrives = async (jobs: WorkJob[], record: string | null): Promise<void> => {
      t.match((await deliver('user:u', jobs, record)).outcomes, [{ kind: 'delivered', status: 200 }]);
      t.match(simulator.contact('u'), { email: 'old@example.com', custom_attributes: { plan: 'free' } });
    };
    return { ...lost, arrives };
  }

  t.test('sent again together with an identify that says the old values', async (t) => {
    const { record, arrives } = await lose(t);
    await arrives([inDoubt, old], record);
  });

  t.test('not sent again, since consent was taken back meanwhile', async (t) => {
    const { record, arrives } = await lose(t);
    await arrives([old], record);
  });

  t.test('a crash before the end of the call is written down', async (t) => {
    const { beforeStep, arrives } = await lose(t);
    await arrives([old], beforeStep);
  });
});

t.test('a company whose change is in doubt gets its old values again', async (t) => {
  const { simulator, deliver } = await open(t);
  const group = (name: string): WorkJob => job({ type: 'group', userId: 'u', groupId: 'acme', traits: { name } });
  const known = await deliver('user:u', [group('Old')]);
  simulator.inject({ kind: 'reset_after', endpoint: 'POST /companies', times: 1 });
  const lost = await deliver('user:u', [group('In doubt')], known.record);
  t.match(lost.outcomes, [{ kind: 'retry', reason: 'connection' }]);
  t.match(simulator.companies(), [{ name: 'In doubt' }]);
  // Its sender has refused meanwhile: it ends as filtered.
  await deliver('user:u', [group('Old')], lost.record);
  t.match(simulator.companies(), [{ name: 'Old' }]);
});
