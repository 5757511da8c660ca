import { mock } from 'node:test';
import t, { type Test } from 'tap';
import { createRateLimiter, type RateAnswer } from '../src/intercom/rate-limiter.ts';

const start = 1_772_029_800_000; // the beginning of a 10-second window
const patient = new AbortController().signal;

/** A limiter on a clock of its own, and the Intercom that counts its calls. */
function setUp(t: Test, options: { share?: number; limit?: number } = {}) {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: start });
  t.teardown(() => mock.timers.reset());
  const limiter = createRateLimiter({ share: options.share ?? 1, now: () => Date.now() });
  const limit = options.limit ?? 100;
  const counted = new Map<number, number>();

  function answer(others = 0): RateAnswer {
    const window = Math.floor(Date.now() / 10_000);
    const before = (counted.get(window) ?? 0) + others;
    counted.set(window, before + 1);
    return {
      limit,
      remaining: Math.max(0, limit - before),
      resetSeconds: (window + 1) * 10 + 2,
      dateMs: Math.floor(Date.now() / 1000) * 1000,
      isTelling: true,
      tookMs: 0,
      limited: before >= limit,
    };
  }

  /** How many of these calls were let go by now. */
  async function tryToTake(count: number): Promise<{ gone(): number }> {
    let gone = 0;
    for (let n = 0; n < count; n += 1) void limiter.take(patient).then(() => (gone += 1));
    await turn();
    return { gone: () => gone };
  }

  return { limiter, answer, tryToTake, counted };
}

t.test('until the first answer tells the limit, one call is under way', async (t) => {
  const { limiter, answer, tryToTake } = setUp(t);
  const calls = await tryToTake(10);
  t.equal(calls.gone(), 1);
  limiter.learn(answer());
  await advance(20);
  t.equal(calls.gone(), 10);
});

t.test('a backlog is spread over the window, and uses all of it', async (t) => {
  const { limiter, answer, tryToTake } = setUp(t, { limit: 2000 });
  await tryToTake(1);
  limiter.learn(answer());
  const calls = await tryToTake(3000);
  t.ok(calls.gone() < 10, `${calls.gone()} at once`);
  await advance(250);
  t.ok(calls.gone() >= 99 && calls.gone() < 150, `${calls.gone()} soon`);
  await advance(4_000);
  t.ok(calls.gone() > 950 && calls.gone() < 1150, `${calls.gone()} at half of the way`);
  await advance(4_300);
  t.equal(calls.gone(), 1997);
});

t.test('a window is used up to its limit but for two urgent calls, and the next one begins on the clock', async (t) => {
  const { limiter, answer, tryToTake } = setUp(t);
  await tryToTake(1);
  limiter.learn(answer());
  const calls = await tryToTake(250);
  await advance(8_600);
  t.equal(calls.gone(), 97);
  await limiter.take(patient, true);
  await limiter.take(patient, true);
  await advance(1_300);
  t.equal(calls.gone(), 97, 'not before the window ends');
  await advance(8_700);
  t.equal(calls.gone(), 97 + 98);
});

t.test('the share of the quota is kept', async (t) => {
  const { limiter, answer, tryToTake } = setUp(t, { share: 0.5, limit: 200 });
  await tryToTake(1);
  limiter.learn(answer());
  const calls = await tryToTake(250);
  await advance(8_600);
  t.equal(calls.gone(), 97);
});

t.test('what other apps take is not used twice', async (t) => {
  const { limiter, answer, tryToTake } = setUp(t);
  await tryToTake(1);
  limiter.learn(answer(60));
  const calls = await tryToTake(250);
  await advance(8_600);
  t.equal(calls.gone(), 100 - 61 - 2);
});

t.test(
  'a 429 although calls remain stops until the window ends; only the second in a row waits for Reset',
  async (t) => {
    const { limiter, answer, tryToTake } = setUp(t);
    await tryToTake(1);
    limiter.learn({ ...answer(), limited: true });
    const calls = await tryToTake(1);
    await advance(9_500);
    t.equal(calls.gone(), 0);
    await advance(1_600);
    t.equal(calls.gone(), 1);
    limiter.learn({ ...answer(), limited: true });
    const next = await tryToTake(1);
    await advance(10_000);
    t.equal(next.gone(), 0, 'the end of the window was too early');
    await advance(2_500);
    t.equal(next.gone(), 1);
  },
);

t.test(
  'the clock is that of the answers: with one that is 5 s ahead, a window begins when it does at Intercom',
  async (t) => {
    const { limiter, answer, tryToTake } = setUp(t);
    await tryToTake(1);
    limiter.learn({ ...answer(), dateMs: start - 5_000, remaining: 100 });
    const calls = await tryToTake(200);
    await advance(250);
    t.equal(calls.gone(), 97);
    await advance(4_650);
    t.equal(calls.gone(), 97);
    await advance(200);
    t.ok(calls.gone() > 97, 'the next window has begun');
  },
);

t.test('an Intercom that tells no limit is not slowed down to one call at a time', async (t) => {
  const { limiter, tryToTake } = setUp(t);
  await tryToTake(1);
  limiter.learn({ isTelling: true, tookMs: 0, limited: false });
  t.equal((await tryToTake(500)).gone(), 500);
  limiter.learn({ isTelling: false, tookMs: 0, limited: true, retryAfterSeconds: 30 });
  const calls = await tryToTake(1);
  await advance(29_900);
  t.equal(calls.gone(), 0, 'but waits as long as it is asked to');
  await advance(200);
  t.equal(calls.gone(), 1);
});

t.test('a call that is no longer wanted leaves the line', async (t) => {
  const { limiter } = setUp(t);
  await limiter.take(patient);
  const stop = new AbortController();
  const waiting = limiter.take(stop.signal);
  stop.abort(new Error('stopping'));
  await t.rejects(waiting, /stopping/);
  t.equal(limiter.state().waiting, 0);
});

async function turn(): Promise<void> {
  for (let n = 0; n < 5; n += 1) await Promise.resolve();
}

/** In steps, as the event loop would see it: a timer of the mock knows only the time at the end of a step. */
async function advance(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 5) {
    mock.timers.tick(Math.min(5, left));
    await turn();
  }
}
