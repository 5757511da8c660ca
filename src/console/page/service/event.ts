import { type Fields, fields } from './fields.ts';

/** A kept event as the list and the stream have it. */
export type KeptEvent = {
  id: string;
  status: string;
  reason: string | null;
  installation: string;
  messageId: string;
  type: string;
  name: string | null;
  userId: string | null;
  email: string | null;
  anonymousId: string | null;
  receivedAtMs: number;
  settledAtMs: number | null;
  nextAttemptAtMs: number | null;
  attempts: number;
  intercomStatus: number | null;
  calls: number;
};

export type Call = { method: string; path: string; body: unknown; status: number | null; answer: unknown; ms: number };
export type Warning = { code: string; message: string; field: string | null; remedy: string | null };

export type Attempt = {
  n: number;
  atMs: number | null;
  outcome: string;
  reason: string | null;
  ms: number;
  intercomStatus: number | null;
  calls: Call[];
  warnings: Warning[];
};

export type Consent = { granted: boolean; category: string; form: string; key: string | null; value: unknown };

/** An event with all that was done for it. */
export type Story = KeptEvent & {
  explanation: { cause: string; remedy: string } | null;
  event: unknown;
  consent: Consent | null;
  history: Attempt[];
};

export function readEvent(item: Fields): KeptEvent {
  const intercom = item.object('intercom');
  return {
    id: item.text('id'),
    status: item.text('status'),
    reason: item.textOrNull('reason'),
    installation: item.text('installation'),
    messageId: item.text('messageId'),
    type: item.text('type'),
    name: item.textOrNull('name'),
    userId: item.textOrNull('userId'),
    email: item.textOrNull('email'),
    anonymousId: item.textOrNull('anonymousId'),
    receivedAtMs: item.timeOrNull('receivedAt') ?? 0,
    settledAtMs: item.timeOrNull('settledAt'),
    nextAttemptAtMs: item.timeOrNull('nextAttemptAt'),
    attempts: item.number('attempts'),
    intercomStatus: intercom.numberOrNull('status'),
    calls: intercom.number('calls'),
  };
}

export function readStory(body: unknown): Story {
  const item = fields(body);
  const explanation = item.objectOrNull('explanation');
  const consent = item.objectOrNull('consent');
  return {
    ...readEvent(item),
    explanation: explanation && { cause: explanation.text('cause'), remedy: explanation.text('remedy') },
    event: item.raw('event'),
    consent: consent && readConsent(consent),
    history: item.list('history', readAttempt),
  };
}

export function readConsent(item: Fields): Consent {
  return {
    granted: item.flag('granted'),
    category: item.text('category'),
    form: item.text('form'),
    key: item.textOrNull('key'),
    value: item.raw('value'),
  };
}

function readAttempt(item: Fields): Attempt {
  const exchange = item.object('exchange');
  return {
    n: item.number('n'),
    atMs: item.timeOrNull('at'),
    outcome: item.text('outcome'),
    reason: item.textOrNull('reason'),
    ms: item.number('ms'),
    intercomStatus: item.object('intercom').numberOrNull('status'),
    calls: exchange.list('calls', (call) => ({
      method: call.text('method'),
      path: call.text('path'),
      body: call.raw('body'),
      status: call.numberOrNull('status'),
      answer: call.raw('answer'),
      ms: call.number('ms'),
    })),
    warnings: exchange.list('warnings', readWarning),
  };
}

export function readWarning(item: Fields): Warning {
  return {
    code: item.text('code'),
    message: item.text('message'),
    field: item.textOrNull('field'),
    remedy: item.textOrNull('remedy'),
  };
}
