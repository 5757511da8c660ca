import t from 'tap';
import { idOf, seqOf } from '../../src/queue/event-id.ts';
import { fingerprint } from '../../src/queue/fingerprint.ts';
import { createKinship, isDevice, isUser } from '../../src/queue/kinship.ts';
import type { NewEvent } from '../../src/queue/queue.ts';
import { createTurns } from '../../src/queue/turns.ts';
import { newEvent } from './new-events.ts';

// The small rules that both engines share.

type Keys = { user?: string; email?: string; device?: string };

function named({ user, email, device }: Keys): NewEvent {
  const event = newEvent('', 'm');
  return { ...event, userId: user ?? null, email: email ?? null, anonymousId: device ?? null };
}

/** A kinship that writes down whom it joins and which device it hands over. */
function kin(options: { devices: boolean; known?: [string, string][] }) {
  const aliases = new Map(options.known);
  const told: string[] = [];
  const kinship = createKinship(
    {
      get: (key) => aliases.get(key),
      set: (key, person) => void aliases.set(key, person),
      onHandOver: (device, from) => void told.push(`${device} leaves ${from}`),
    },
    { devices: options.devices },
  );
  return {
    resolve: (keys: Keys) => kinship.resolve(named(keys), (from, into) => void told.push(`${from} joins ${into}`)),
    current: kinship.current,
    /** Since the last look. */
    told: () => told.splice(0),
    aliases,
  };
}

t.test('a person is named by user, else by email, else by device', async (t) => {
  const { resolve, told, aliases } = kin({ devices: true });
  t.equal(resolve({ user: '1' }), 'default/user:1');
  t.equal(resolve({ email: 'a@x' }), 'default/email:a@x');
  t.equal(resolve({ device: 'd' }), 'default/anon:d');
  t.equal(resolve({}), 'default/anon:');
  t.strictSame(told(), []);
  t.equal(aliases.size, 0, 'one key ties nothing');
});

t.test('an email and a device are joined to the user that one event carries with them, once', async (t) => {
  const { resolve, told, current } = kin({ devices: true });
  t.equal(resolve({ user: '1', email: 'a@x', device: 'd' }), 'default/user:1');
  t.strictSame(told(), ['default/email:a@x joins default/user:1', 'default/anon:d joins default/user:1']);
  t.equal(resolve({ user: '1', email: 'a@x', device: 'd' }), 'default/user:1');
  t.strictSame(told(), []);
  t.equal(resolve({ email: 'a@x' }), 'default/user:1');
  t.equal(resolve({ device: 'd' }), 'default/user:1');
  t.equal(current('default/email:a@x'), 'default/user:1');
  t.equal(current('other/email:a@x'), 'other/email:a@x', 'in its own installation');
});

t.test('a device is joined to an email, and goes with it to the user', async (t) => {
  const { resolve, told, current } = kin({ devices: true });
  t.equal(resolve({ email: 'a@x', device: 'd' }), 'default/email:a@x');
  t.strictSame(told(), ['default/anon:d joins default/email:a@x']);
  resolve({ user: '1', email: 'a@x' });
  t.strictSame(told(), ['default/email:a@x joins default/user:1']);
  t.equal(current('default/anon:d'), 'default/user:1', 'over two steps');
});

t.test('a device of an email that comes with a user brings the email along', async (t) => {
  const { resolve, told, current, aliases } = kin({ devices: true });
  resolve({ email: 'a@x', device: 'd' });
  told();
  t.equal(resolve({ user: '1', device: 'd' }), 'default/user:1');
  t.strictSame(told(), ['default/email:a@x joins default/user:1']);
  t.equal(current('default/email:a@x'), 'default/user:1');
  t.equal(aliases.get('default/anon:d'), 'default/user:1', 'in one step from now on');
});

t.test('an email stays with its first user, and is taken for that one even beside a device', async (t) => {
  const { resolve, told } = kin({ devices: true });
  resolve({ user: '1', email: 'a@x' });
  told();
  t.equal(resolve({ user: '2', email: 'a@x' }), 'default/user:2');
  t.equal(resolve({ email: 'a@x' }), 'default/user:1');
  t.strictSame(told(), []);
  t.equal(resolve({ email: 'a@x', device: 'd' }), 'default/user:1');
  t.strictSame(told(), ['default/anon:d joins default/user:1']);
});

t.test('a device goes to the user seen on it last, and takes nobody along', async (t) => {
  const { resolve, told } = kin({ devices: true });
  resolve({ user: '1', device: 'd' });
  told();
  t.equal(resolve({ user: '2', device: 'd' }), 'default/user:2');
  t.strictSame(told(), ['default/anon:d leaves default/user:1']);
  t.equal(resolve({ device: 'd' }), 'default/user:2');
  t.equal(resolve({ email: 'b@x', device: 'd' }), 'default/email:b@x', 'an email is no user');
  t.equal(resolve({ device: 'd' }), 'default/user:2');
  t.strictSame(told(), []);
});

t.test('a device whose hand-over nobody asks to hear of goes all the same', async (t) => {
  const aliases = new Map([['default/anon:d', 'default/user:1']]);
  const stores = { get: (key: string) => aliases.get(key), set: (k: string, p: string) => void aliases.set(k, p) };
  const kinship = createKinship(stores, { devices: true });
  kinship.resolve(named({ user: '2', device: 'd' }), () => t.fail('nobody is joined'));
  t.equal(kinship.current('default/anon:d'), 'default/user:2');
});

t.test('where devices do not count, they are tied to nobody', async (t) => {
  const { resolve, told, aliases } = kin({ devices: false });
  resolve({ user: '1', device: 'd' });
  resolve({ email: 'a@x', device: 'd' });
  t.strictSame(told(), []);
  t.equal(aliases.size, 0);
  t.equal(resolve({ device: 'd' }), 'default/anon:d');
});

t.test('a key that is tied to itself ends the walk, and a user is never anybody else', async (t) => {
  const { current } = kin({
    devices: true,
    known: [
      ['default/email:a@x', 'default/email:a@x'],
      ['default/user:1', 'default/user:2'],
    ],
  });
  t.equal(current('default/email:a@x'), 'default/email:a@x');
  t.equal(current('default/user:1'), 'default/user:1');
});

t.test('kinds are told by what stands right behind the installation', async (t) => {
  t.ok(isUser('default/user:1'));
  t.notOk(isUser('default/email:user:1'));
  t.notOk(isUser('user:1/email:x'));
  t.ok(isDevice('default/anon:d'));
  t.notOk(isDevice('default/user:anon:d'));
  t.notOk(isDevice('default/email:a@x'));
});

t.test('a fingerprint has 128 bits, and no two ids in two installations share one', async (t) => {
  const seen = [
    fingerprint('a', 'm'),
    fingerprint('b', 'm'),
    fingerprint('a', 'n'),
    fingerprint('am', ''),
    fingerprint('', 'am'),
  ];
  for (const one of seen) t.equal(one.length, 16);
  t.equal(new Set(seen.map((one) => one.toString('hex'))).size, seen.length);
  t.ok(fingerprint('a', 'm').equals(seen[0]!), 'the same in every life of the service');
  t.equal(seen[0]!.toString('hex'), '10d64fdc93fe17e005220321d9ff7d01', 'which reads what an earlier version wrote');
});

t.test('event ids sort as their numbers, and give them back', async (t) => {
  const seqs = [1, 35, 36, 2 ** 31, 36 ** 9 - 1];
  const ids = seqs.map(idOf);
  t.strictSame(ids, ['evt_000000001', 'evt_00000000z', 'evt_000000010', 'evt_000zik0zk', 'evt_zzzzzzzzz']);
  t.strictSame(ids.toSorted(), ids);
  t.strictSame(ids.map(seqOf), seqs);
  t.equal(seqOf(idOf(36 ** 10)), 36 ** 10, 'a number may outgrow the nine places');
  const wrong = [
    '',
    '1',
    'evt_',
    'evt_00000001',
    'evt_00000000A',
    'xevt_000000001',
    'evt_000000001 ',
    'abcdevt_000000001',
    'evt_zzzzzzzzzzzz',
  ];
  for (const id of wrong) t.ok(Number.isNaN(seqOf(id)), `${JSON.stringify(id)} is none`);
});

t.test('turns of a key come one at a time, in the order of asking; other keys do not wait', async (t) => {
  const turn = createTurns();
  const log: string[] = [];
  const take = async (key: string, name: string) => {
    const end = await turn(key);
    log.push(name);
    return end;
  };
  const first = await take('k', 'first');
  const second = take('k', 'second');
  (await take('other', 'another'))();
  t.strictSame(log, ['first', 'another']);
  first();
  const endSecond = await second;
  t.strictSame(log, ['first', 'another', 'second']);
  const third = take('k', 'third');
  first();
  await take('other', 'one more');
  t.notOk(log.includes('third'), 'to end a turn twice ends nobody else’s');
  endSecond();
  (await third)();
  t.equal(log.at(-1), 'third');
  (await take('k', 'fourth'))();
  t.equal(log.at(-1), 'fourth', 'and when all are over, the next one goes at once');
});
