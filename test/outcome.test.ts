import t from 'tap';
import type { Reply } from '../src/intercom/client.ts';
import { judge, type Verdict } from '../src/intercom/outcome.ts';

// What each answer of Intercom means; the texts are its own.

const timing = { startedAt: 0, ms: 1 };

type Answered = { code?: string; message?: string; body?: unknown };

function json(status: number, { code = 'any', message = '', body = {} }: Answered = {}): Reply {
  return { kind: 'answer', status, body, isJson: true, errors: [{ code, message }], requestId: null, ...timing };
}

function html(status: number): Reply {
  return { kind: 'answer', status, body: undefined, isJson: false, errors: [], requestId: null, ...timing };
}

function silence(failure: 'timeout' | 'connection', sent: boolean): Reply {
  return { kind: 'no_answer', failure, code: 'ECONNRESET', sent, ...timing };
}

type Kind<K> = Extract<Verdict, { kind: K }>;
const retry = (reason: Kind<'retry'>['reason'], status: number | null, maybeDone = false): Verdict => ({
  kind: 'retry',
  reason,
  status,
  maybeDone,
});
const hold = (reason: Kind<'hold'>['reason'], status: number): Verdict => ({ kind: 'hold', reason, status });
const rejected = (reason: Kind<'rejected'>['reason'], status: number): Verdict => ({
  kind: 'rejected',
  reason,
  status,
});

const existing = 'A contact matching those details already exists with id=64f1c0ffee_A9';
const archived = 'An archived contact matching those details already exists with id=64f1c0ffee';
const unknown = "Custom attribute 'shoe size' does not exist";

const rows: [title: string, reply: Reply, verdict: Verdict][] = [
  ['200 is done', json(200, { body: { id: 'x' } }), { kind: 'done', status: 200, body: { id: 'x' } }],
  ['202 without a body is done', html(202), { kind: 'done', status: 202, body: undefined }],
  ['299 is done', html(299), { kind: 'done', status: 299, body: undefined }],
  ['a code in what is done counts for nothing', json(200, { code: 'server_error' }), done(200)],
  ['199 is not', html(199), retry('edge_error', 199)],
  ['300 is not', html(300), retry('edge_error', 300)],
  ['JSON that is neither done nor refused is an edge of its own kind', json(399), retry('edge_error', 399)],

  ['429', json(429), retry('rate_limited', 429)],
  ['429 of an edge', html(429), retry('rate_limited', 429)],
  ['the rate limit under another status', json(400, { code: 'rate_limit_exceeded' }), retry('rate_limited', 400)],
  ['its other word', json(403, { code: 'too_many_requests' }), retry('rate_limited', 403)],
  ['a company made by two at once', json(400, { code: 'unique_company_constraint' }), retry('company_race', 400)],

  ['a contact that exists', json(409, { message: existing }), exists('64f1c0ffee_A9', false)],
  ['an archived one', json(409, { message: archived }), exists('64f1c0ffee', true)],
  ['in any case of letters', json(400, { message: archived.toUpperCase() }), exists('64F1C0FFEE', true)],
  ['not within a word', json(409, { message: `sub${existing.slice(2)}` }), retry('conflict', 409)],
  [
    'several users of one email',
    json(400, { message: 'Multiple existing users match this email' }),
    rejected('ambiguous_email', 400),
  ],
  ['not restorable, by its text', json(409, { message: 'Contact is Not Restorable' }), rejected('not_restorable', 409)],
  ['not restorable, by its code', json(409, { code: 'not_restorable' }), rejected('not_restorable', 409)],
  ['an attribute that is not there', json(400, { message: unknown }), { kind: 'unknown_attribute', name: 'shoe size' }],
  ['too many event names', json(422, { message: 'Too many Active Event Names' }), rejected('event_name_quota', 422)],
  ['too many attributes', json(400, { code: 'custom_data_limit_reached' }), rejected('attribute_quota', 400)],
  ['too many companies', json(400, { code: 'contact_company_limit_exceeded' }), rejected('company_limit', 400)],

  ['a version that is none', json(400, { code: 'intercom_version_invalid' }), hold('version_invalid', 400)],
  ['a token that may not', json(401, { code: 'token_unauthorized' }), hold('token_scope', 401)],
  ['a token that is wrong', json(401, { code: 'unauthorized' }), hold('token_invalid', 401)],
  ['the plan, by its status', json(402), hold('plan_restricted', 402)],
  ['the plan, by its code', json(403, { code: 'api_plan_restricted' }), hold('plan_restricted', 403)],
  ['forbidden', json(403), hold('forbidden', 403)],
  ['not found', json(404), { kind: 'missing' }],
  ['a conflict', json(409), retry('conflict', 409)],
  ['what an edge says with the status of a bad token is no word of Intercom', html(401), retry('edge_error', 401)],
  ['nor of a plan', html(402), retry('edge_error', 402)],
  ['nor of a permission', html(403), retry('edge_error', 403)],
  ['nor of a contact that is gone', html(404), retry('edge_error', 404)],
  ['nor of a conflict', html(409), retry('edge_error', 409)],

  ['408 may have been carried out', json(408), retry('timeout', 408, true)],
  ['408 of an edge, too', html(408), retry('timeout', 408, true)],
  ['500 may have been carried out', json(500), retry('server_error', 500, true)],
  ['503 of an edge, too', html(503), retry('server_error', 503, true)],
  ['599 is the last of these', html(599), retry('server_error', 599, true)],
  ['600 is none', html(600), retry('edge_error', 600, true)],
  ['a failure of the server under another status', json(422, { code: 'server_error' }), retry('server_error', 422)],

  ['400 is refused', json(400), rejected('invalid_request', 400)],
  ['422 is refused', json(422, { code: 'parameter_invalid' }), rejected('invalid_request', 422)],
  ['499 is refused', json(499), rejected('invalid_request', 499)],
  ['400 of an edge says nothing of the request', html(400), retry('edge_error', 400)],
  ['but its 413 does', html(413), rejected('invalid_request', 413)],
  ['and its 414', html(414), rejected('invalid_request', 414)],

  ['no answer in time, and it may have been carried out', silence('timeout', true), retry('timeout', null, true)],
  ['no connection', silence('connection', false), retry('connection', null, false)],
];

function done(status: number): Verdict {
  return { kind: 'done', status, body: {} };
}

function exists(contactId: string, archived: boolean): Verdict {
  return { kind: 'exists', contactId, archived };
}

for (const [title, reply, verdict] of rows) {
  t.test(title, async (t) => {
    t.strictSame(judge(reply), verdict);
  });
}

t.test('of several errors in one answer, any that is known decides', async (t) => {
  const reply: Reply = {
    ...(json(422) as Extract<Reply, { kind: 'answer' }>),
    errors: [
      { code: 'parameter_invalid', message: '' },
      { code: 'custom_data_limit_reached', message: '' },
    ],
  };
  t.strictSame(judge(reply), rejected('attribute_quota', 422));
});

t.test('an answer without a list of errors is judged by its status', async (t) => {
  const reply: Reply = { ...(json(409) as Extract<Reply, { kind: 'answer' }>), errors: [] };
  t.strictSame(judge(reply), retry('conflict', 409));
});
