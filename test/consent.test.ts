import t from 'tap';
import type { Call } from '../src/simulator/simulator.ts';
import { startService, until } from './service.ts';

t.test('an event without the consent that it needs is kept, explained and never sent', async (t) => {
  const { post, simulator } = await startService(t, {
    env: { MARKETING_EVENTS: 'Newsletter Opened, promo_clicked', CONSENT_WHEN_ABSENT: 'deny' },
  });
  const send = async (event: string, consent?: unknown) =>
    (await post({ type: 'track', event, userId: 'u', context: consent === undefined ? {} : { consent } })).body
      .events[0];
  const functional = { canonical: { functional: true, marketing: false } };
  t.match(await send('Clicked', { functional: false }), { status: 'filtered', reason: 'consent_functional' });
  t.match(await send('Clicked'), { status: 'filtered', reason: 'consent_functional' });
  t.match(await send('newsletter_opened', functional), { status: 'filtered', reason: 'consent_marketing' });
  t.match(await send('Promo Clicked', functional), { status: 'filtered', reason: 'consent_marketing' });
  t.equal(simulator.count('POST /events'), 0);
  t.match(await send('Bought', functional), { status: 'delivered' });
  t.match(await send('Newsletter Opened', { canonical: { marketing: true } }), { status: 'delivered' });
});

t.test('CONSENT_CATEGORY=marketing asks marketing consent of everything', async (t) => {
  const { post } = await startService(t, { env: { CONSENT_CATEGORY: 'marketing' } });
  const send = async (consent: unknown) =>
    (await post({ type: 'identify', userId: 'u', context: { consent } })).body.events[0];
  t.match(await send({ functional: true, marketing: false }), { status: 'filtered', reason: 'consent_marketing' });
  t.match(await send({ functional: false, marketing: true }), { status: 'delivered' });
});

t.test('an event that carries no consent falls under what its person is known to have refused', async (t) => {
  const { post, simulator } = await startService(t);
  const send = async (userId: string, context: object) =>
    (await post({ type: 'track', event: 'A', userId, messageId: `${userId}-${Math.random()}`, context })).body
      .events[0];
  t.match(await send('refuses', { consent: { functional: false } }), {
    status: 'filtered',
    reason: 'consent_functional',
  });
  t.match(await send('refuses', {}), { status: 'filtered', reason: 'consent_revoked' });
  t.match(await send('refuses', { consent: { functional: true } }), { status: 'delivered' });
  t.match(await send('refuses', {}), { status: 'delivered' });
  t.match(await send('another', {}), { status: 'delivered' });
  t.equal(simulator.timeline('refuses').length, 2);
});

t.test('who has refused is filtered, also without an identifier', async (t) => {
  const { post } = await startService(t);
  const { status, body } = await post({ type: 'page', anonymousId: 'a', context: { consent: { functional: false } } });
  t.equal(status, 200);
  t.match(body.events[0], { status: 'filtered', reason: 'consent_functional' });
});

t.test('an event that waits is sent only if the newest consent of the person still allows it', async (t) => {
  const { post, simulator } = await startService(t, { simulator: { tokens: ['another-token'] } });
  const send = async (userId: string, messageId: string, functional: boolean, hour: number) => {
    const timestamp = `2026-02-25T${hour}:00:00Z`;
    const event = {
      type: 'track',
      event: messageId,
      userId,
      messageId,
      timestamp,
      context: { consent: { functional } },
    };
    return (await post(event, { prefer: 'respond-async' })).body.events[0];
  };
  t.match(await send('leaves', 'l-1', true, 10), { status: 'queued' });
  t.match(await send('leaves', 'l-2', false, 11), { status: 'filtered', reason: 'consent_functional' });
  t.match(await send('returns', 'r-1', true, 10), { status: 'queued' });
  t.match(await send('returns', 'r-2', false, 11), { status: 'filtered' });
  t.match(await send('returns', 'r-3', true, 12), { status: 'queued' });
  t.match(await send('returns', 'r-4', false, 11), { status: 'filtered' }, 'an older refusal that comes late');
  simulator.setTokens(['demo-token']);
  await until(
    'delivery went on',
    async () => (await send('returns', 'r-3', true, 12))?.original?.status === 'delivered',
  );
  t.match(await send('returns', 'r-1', true, 10), { original: { status: 'delivered' } });
  t.match(await send('leaves', 'l-1', true, 10), { original: { status: 'filtered', reason: 'consent_revoked' } });
  t.strictSame(simulator.timeline('leaves'), []);
});

t.test('a refusal holds from its acknowledgement on, also for events that are waiting for the quota', async (t) => {
  const { post, get, simulator } = await startService(t, { simulator: { limitPerMinute: 60 } });
  const track = (n: number, functional: boolean) => ({
    type: 'track',
    event: `A ${n}`,
    userId: 'u',
    messageId: `m-${n}`,
    timestamp: 1_772_029_800_000 + n * 1000,
    context: { consent: { functional } },
  });
  const isHeld = ({ requestBody }: Call) => JSON.stringify(requestBody ?? null).includes('"A 1"');
  const answered = Promise.withResolvers<void>();
  simulator.inject({ kind: 'slow', ms: 0, until: answered.promise, when: isHeld });
  await post(
    Array.from({ length: 30 }, (_, n) => track(n, true)),
    { prefer: 'respond-async' },
  );
  await until('one is on its way, and the others wait', () => simulator.calls.some(isHeld));
  const refusal = await post(track(30, false), { prefer: 'respond-async' });
  t.match(refusal.body.events[0], { status: 'filtered', reason: 'consent_functional' });
  answered.resolve();
  await until('nothing is queued', async () => /ledger_events\{state="queued"\} 0/.test((await get('/metrics')).text));
  t.ok(isHeld(simulator.calls.findLast(({ endpoint }) => endpoint === 'POST /events')!), 'none went out after it');
  t.ok(simulator.timeline('u').length < 30, 'some were still waiting');
  t.match((await post(track(29, true))).body.events[0], {
    original: { status: 'filtered', reason: 'consent_revoked' },
  });
});
