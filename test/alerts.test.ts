import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import pino from 'pino';
import t, { type Test } from 'tap';
import { createAlerts, type Notice } from '../src/alerts/alerts.ts';
import { findCauses, type InstallationSnapshot, type Snapshot } from '../src/alerts/causes.ts';
import { openAlerts } from '../src/alerts/open.ts';
import { createWebhook } from '../src/alerts/webhook.ts';
import { explain } from '../src/console/reasons.ts';
import { startService, temporaryFolder, until } from './service.ts';

const minuteMs = 60_000;

/** A chat's incoming webhook; answers with each of `statuses` in turn, and 200 from then on. */
async function startReceiver(t: Test, statuses: number[] = []) {
  const bodies: Record<string, unknown>[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => (text += String(chunk)));
    request.on('end', () => {
      connections += 1;
      const status = statuses.shift() ?? 200;
      if (status === 200) bodies.push(JSON.parse(text));
      if (status === 0) return; // never answers
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the receiver has no port');
  return { url: `http://127.0.0.1:${address.port}/hook/secret-part`, bodies, requests: () => connections };
}

const open: InstallationSnapshot = {
  id: 'default',
  gate: { kind: 'open' },
  isPaused: false,
  flow: { accepted: 0, queued: 0, oldestQueuedAtMs: null },
  dead: new Map(),
};

const tokenInvalid: InstallationSnapshot['gate'] = {
  kind: 'held',
  reason: 'token_invalid',
  message: 'Intercom does not accept the access token',
  remedy: 'copy it anew',
  mendsItself: false,
};

/** The alerts with a clock and a service that the test moves. */
function bench(
  settings: { backlogMs?: number; silenceMs?: number | null; repeatMs?: number } = {},
  kept: string[] = [],
) {
  const { backlogMs = 10 * minuteMs, silenceMs = null, repeatMs = 240 * minuteMs } = settings;
  const notices: Notice[] = [];
  let atMs = Date.parse('2026-01-01T00:00:00Z');
  let snapshot: Snapshot = { atMs, store: { ok: true }, installations: [open] };
  let looks = 0;
  const alerts = createAlerts({
    look: async () => {
      looks += 1;
      return { ...snapshot, atMs };
    },
    find: (now, before) => findCauses(now, before, { backlogMs, silenceMs }, explain),
    tell: (notice) => notices.push(notice),
    memory: {
      read: () => (kept[0] === undefined ? [] : JSON.parse(kept[0])),
      write: (standing) => void (kept[0] = JSON.stringify(standing)),
    },
    onError: (error) => {
      throw error;
    },
    everyMs: 1,
    repeatMs,
  });
  return {
    alerts,
    notices,
    now: () => atMs,
    told: () => notices.splice(0).map(({ alert, reason, state }) => `${alert} ${reason ?? '-'} ${state}`),
    /** Two looks at the service as it now is, after `minutes`. */
    async look(
      installation: Partial<InstallationSnapshot> = {},
      minutes = 0,
      store: Snapshot['store'] = { ok: true },
      act = () => {},
    ) {
      atMs += minutes * minuteMs;
      snapshot = { atMs, store, installations: [{ ...open, ...installation }] };
      const from = looks;
      act();
      await until('it was looked at', () => looks >= from + 3);
    },
  };
}

t.test('a hold is told once however long it lasts, again every few hours, and when it is over', async (t) => {
  const { alerts, look, told } = bench();
  t.teardown(alerts.stop);
  alerts.start();
  await look();
  t.same(told(), []);
  await look({ gate: tokenInvalid });
  t.same(told(), ['hold token_invalid firing']);
  t.same(alerts.causes(), [{ alert: 'hold', installation: 'default', reason: 'token_invalid', isFiring: true }]);
  for (let minute = 0; minute < 239; minute += 20) await look({ gate: tokenInvalid }, 19);
  t.same(told(), []);
  await look({ gate: tokenInvalid }, 20);
  t.same(told(), ['hold token_invalid firing']);
  await look({ gate: { kind: 'open' } });
  t.same(told(), [], 'it may come back at once');
  await look({ gate: tokenInvalid }, 0.5);
  await look({ gate: { kind: 'open' } }, 0.5);
  t.same(told(), [], 'what comes and goes is told once');
  await look({ gate: { kind: 'open' } }, 1);
  t.same(told(), ['hold token_invalid resolved']);
  t.same(alerts.causes(), [{ alert: 'hold', installation: 'default', reason: 'token_invalid', isFiring: false }]);
});

t.test("an outage of a minute is nobody's concern, a longer one is", async (t) => {
  const { alerts, look, told } = bench();
  t.teardown(alerts.stop);
  alerts.start();
  const gate = { ...tokenInvalid, kind: 'held' as const, reason: 'server_error', mendsItself: true };
  await look({ gate });
  await look({ gate }, 0.9);
  await look({ gate: { kind: 'open' } });
  t.same(told(), []);
  await look({ gate });
  await look({ gate }, 1);
  t.same(told(), ['hold server_error firing']);
});

t.test('dead letters are one alert per reason, with how many, until none is added for ten minutes', async (t) => {
  const { alerts, look, told, notices } = bench();
  t.teardown(alerts.stop);
  alerts.start();
  const dead = (invalid: number, names: number) => ({
    dead: new Map([
      ['invalid_request', invalid],
      ['event_name_quota', names],
    ]),
  });
  await look(dead(0, 0));
  await look(dead(1, 0));
  t.match(notices, [{ events: 1, message: /Intercom refused the request/, remedy: /redrive/ }]);
  t.same(told(), ['dead_letters invalid_request firing']);
  await look(dead(500, 3), 5);
  t.same(told(), ['dead_letters event_name_quota firing']);
  await look(dead(500, 3), 9);
  t.same(told(), []);
  await look(dead(500, 3), 1);
  t.match(notices, [{ events: 500 }, { events: 3 }]);
  t.same(told(), ['dead_letters invalid_request resolved', 'dead_letters event_name_quota resolved']);
});

t.test('a backlog is told when it is old for a minute, and not where a hold or a pause explains it', async (t) => {
  const { alerts, look, told, now } = bench({ backlogMs: 10 * minuteMs });
  t.teardown(alerts.stop);
  alerts.start();
  const flow = { accepted: 9, queued: 7, oldestQueuedAtMs: now() };
  await look({ flow }, 9);
  await look({ flow }, 1.5);
  t.same(told(), [], 'brought back by a login or a redrive, it may go out at once');
  await look({ flow, isPaused: true }, 5);
  t.same(told(), []);
  await look({ flow, gate: tokenInvalid }, 5);
  t.same(told(), ['hold token_invalid firing']);
  await look({ flow }, 2);
  await look({ flow }, 1);
  t.same(told().sort(), ['backlog - firing', 'hold token_invalid resolved']);
  await look({ flow: null }, 30, { ok: false, reason: 'the disk is full' });
  t.same(told(), ['store - firing'], 'what the store cannot tell stays as it was');
  await look({ flow: { ...flow, oldestQueuedAtMs: now() + 40 * minuteMs } });
  await look({ flow: { ...flow, oldestQueuedAtMs: now() + 40 * minuteMs } }, 1);
  t.same(told().sort(), ['backlog - resolved', 'store - resolved']);
});

t.test('silence is told when it is asked for, and ends with the first event', async (t) => {
  const quiet = bench({ silenceMs: null });
  t.teardown(quiet.alerts.stop);
  quiet.alerts.start();
  await quiet.look();
  await quiet.look({}, 600);
  t.same(quiet.told(), []);

  const { alerts, look, told } = bench({ silenceMs: 30 * minuteMs });
  t.teardown(alerts.stop);
  alerts.start();
  const flow = (accepted: number) => ({ flow: { accepted, queued: 0, oldestQueuedAtMs: null } });
  await look(flow(0), 10);
  await look(flow(1), 25);
  await look(flow(1), 29);
  t.same(told(), []);
  await look(flow(1), 1);
  t.same(told(), ['silence - firing']);
  await look(flow(2), 0.1);
  t.same(told()[0], 'silence - resolved');
});

t.test('what the last process told and a restart mended is told to be over', async (t) => {
  const kept: string[] = [];
  const first = bench({}, kept);
  first.alerts.start();
  await first.look({ gate: tokenInvalid });
  t.same(first.told(), ['hold token_invalid firing']);
  first.alerts.stop();

  const second = bench({}, kept);
  second.alerts.start();
  await second.look({ gate: tokenInvalid });
  t.same(second.told(), [], 'still so: nothing new');
  second.alerts.stop();

  const third = bench({}, kept);
  t.teardown(third.alerts.stop);
  third.alerts.start();
  await third.look({ gate: { kind: 'unknown' } }, 5);
  t.same(third.told(), [], 'the token is being checked');
  await third.look({ gate: { kind: 'open' } });
  await third.look({ gate: { kind: 'open' } }, 1);
  t.same(third.told(), ['hold token_invalid resolved']);
  t.same(JSON.parse(kept[0]!), []);
});

t.test('a restart is no end of the ten minutes without a new dead letter', async (t) => {
  const kept: string[] = [];
  const first = bench({}, kept);
  first.alerts.start();
  await first.look({ dead: new Map([['invalid_request', 2]]) });
  t.same(first.told(), ['dead_letters invalid_request firing']);
  first.alerts.stop();

  const second = bench({}, kept);
  t.teardown(second.alerts.stop);
  await second.look({}, 30, undefined, () => second.alerts.start());
  t.same(second.told(), []);
  await second.look({}, 9);
  t.same(second.told(), []);
  await second.look({}, 1);
  t.same(second.told(), ['dead_letters invalid_request resolved']);
});

const notice: Notice = {
  alert: 'hold',
  installation: 'default',
  reason: 'token_invalid',
  state: 'firing',
  message: 'Intercom does not accept the access token',
  remedy: 'copy it anew',
  sinceMs: Date.parse('2026-01-01T00:00:00Z'),
  atMs: Date.parse('2026-01-01T02:30:00Z'),
  events: 0,
};

t.test('the webhook gets a text that chats show, and the same as fields', async (t) => {
  const { url, bodies } = await startReceiver(t);
  const webhook = createWebhook({ url, onResult: () => {} });
  webhook.send(notice);
  webhook.send({ ...notice, state: 'resolved', events: 12 });
  await until('both arrived', () => bodies.length === 2);
  const [firing, resolved] = bodies;
  t.same(firing, {
    text: '[firing] Delivery to Intercom is on hold (installation default): Intercom does not accept the access token. What to do: copy it anew. Since 2026-01-01T00:00:00.000Z',
    content: firing?.text,
    alert: 'hold',
    state: 'firing',
    installation: 'default',
    reason: 'token_invalid',
    since: '2026-01-01T00:00:00.000Z',
    at: '2026-01-01T02:30:00.000Z',
    message: 'Intercom does not accept the access token',
    remedy: 'copy it anew',
  });
  t.match(resolved, { state: 'resolved', events: 12, text: /^\[resolved\].*no longer, after 3 h/ });
  await webhook.close(0);
});

t.test('a receiver that fails is tried again a few times, in order; a redirect or a refusal is not', async (t) => {
  const results: string[] = [];
  const send = async (statuses: number[]) => {
    const receiver = await startReceiver(t, statuses);
    const webhook = createWebhook({
      url: receiver.url,
      retryAfterMs: [1, 1, 1],
      timeoutMs: 60_000,
      onResult: (result) => results.push(result.ok ? 'ok' : result.reason),
    });
    webhook.send(notice);
    webhook.send({ ...notice, state: 'resolved' });
    await until('both have ended', () => results.length === 2);
    await webhook.close(0);
    return { told: results.splice(0), receiver };
  };
  const recovered = await send([500, 429, 503]);
  t.same(recovered.told, ['ok', 'ok']);
  t.match(recovered.receiver.bodies, [{ state: 'firing' }, { state: 'resolved' }]);
  const down = await send([500, 500, 500, 500]);
  t.same(down.told, ['it answers 500', 'ok']);
  const redirecting = await send([302]);
  t.same(redirecting.told, ['it answers 302, a redirect, which is not followed', 'ok']);
  t.equal(redirecting.receiver.requests(), 2);
  t.same((await send([404])).told, ['it answers 404', 'ok']);
});

t.test('a receiver that does not answer is given up after a while', async (t) => {
  const { url, requests } = await startReceiver(t, Array<number>(9).fill(0));
  const results: string[] = [];
  const onResult = (result: { ok: true } | { ok: false; reason: string }) =>
    results.push(result.ok ? 'ok' : result.reason);
  const webhook = createWebhook({ url, retryAfterMs: [1], timeoutMs: 100, onResult });
  webhook.send(notice);
  await until('it has ended', () => results.length === 1);
  t.same(results, ['it does not answer in time']);
  t.ok(requests() <= 2, 'and asked no oftener than it should be');
  await webhook.close(0);
});

t.test('a webhook that is down holds nobody up at the end, and its address stands in no log line', async (t) => {
  const lines: string[] = [];
  const outcomes: string[] = [];
  const alerts = openAlerts({
    settings: { webhookUrl: 'http://127.0.0.1:9/hook/secret-part', backlogMs: minuteMs, silenceMs: null },
    path: join(temporaryFolder(t), 'queue.db.alerts'),
    log: pino({ base: null }, { write: (line: string) => void lines.push(line) }),
    look: async () => ({
      atMs: Date.now(),
      store: { ok: false, reason: 'the disk is full' },
      installations: [],
    }),
    explainDead: explain,
    onWebhook: (outcome) => outcomes.push(outcome),
  });
  alerts.start();
  await until('the cause is logged', () => lines.length > 0);
  t.match(JSON.parse(lines[0]!), { alert: 'store', msg: 'alert.firing', message: /the disk is full/ });
  await alerts.stop();
  t.same(outcomes, [], 'the end came before that of the attempts, of which the last is more than half a minute away');
  t.notMatch(lines.join(''), 'secret-part');
});

t.test('a bad token reaches the webhook, the log and the metrics, while events go on being accepted', async (t) => {
  const receiver = await startReceiver(t);
  const { logs, get, post, databasePath } = await startService(t, {
    simulator: { tokens: ['another'] },
    env: { ALERT_WEBHOOK_URL: receiver.url },
  });
  t.equal(
    (
      await post(
        { type: 'track', event: 'A', userId: 'jane', traits: { email: 'jane@example.com' } },
        { prefer: 'respond-async' },
      )
    ).status,
    202,
  );
  const body = await until('the webhook was called', () => receiver.bodies[0]);
  t.match(body, { alert: 'hold', state: 'firing', installation: 'default', reason: 'token_invalid' });
  t.match(body, { remedy: /INTERCOM_ACCESS_TOKEN/, since: /^\d{4}-\d\d-\d\dT/ });
  t.notMatch(JSON.stringify(body), /jane|demo-token/);
  t.equal(logs.filter((line) => line.includes('alert.firing')).length, 1);
  const metrics = (await get('/metrics')).text;
  t.match(metrics, /^signal_intercom_alert_firing\{alert="hold",installation="default",reason="token_invalid"\} 1$/m);
  await until('it was counted', async () =>
    (await get('/metrics')).text.includes('signal_intercom_alert_notifications_total{outcome="ok"} 1'),
  );
  t.match(JSON.parse(readFileSync(`${databasePath}.alerts`, 'utf8')), [{ alert: 'hold' }]);
});

t.test('a dead letter reaches the webhook, and a spoilt file of the last process does no harm', async (t) => {
  const receiver = await startReceiver(t);
  const databasePath = join(temporaryFolder(t), 'queue.db');
  writeFileSync(`${databasePath}.alerts`, '{"not":"a list"}');
  const { post, simulator } = await startService(t, { databasePath, env: { ALERT_WEBHOOK_URL: receiver.url } });
  simulator.inject({ kind: 'status', status: 400, endpoint: 'POST /events' });
  const { body } = await post({ type: 'track', event: 'A', userId: 'u' });
  t.match(body, { events: [{ status: 'dead' }] });
  t.match(await until('the webhook was called', () => receiver.bodies[0]), {
    alert: 'dead_letters',
    reason: 'invalid_request',
    events: 1,
  });
});
