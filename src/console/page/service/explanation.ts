import { type Consent, readConsent, readWarning, type Warning } from './event.ts';
import { type Fields, fields } from './fields.ts';

/** A call, and what its answer decides. */
export type PlannedCall = {
  method: string;
  path: string;
  body: unknown;
  note: string | null;
  otherwise: { when: string; calls: { method: string; path: string; body: unknown }[] } | null;
};

/** What would be done with an event, were it sent now. */
export type Explained = {
  index: number;
  type: string;
  status: string;
  reason: string | null;
  consent: Consent | null;
  person: string | null;
  calls: PlannedCall[];
  warnings: Warning[];
  error: string | null;
};

export function readExplanation(body: unknown): Explained[] {
  return fields(body).list('events', (item) => {
    const consent = item.objectOrNull('consent');
    return {
      index: item.number('index'),
      type: item.text('type'),
      status: item.text('status'),
      reason: item.textOrNull('reason'),
      consent: consent && readConsent(consent),
      person: item.textOrNull('person'),
      calls: item.list('calls', readPlannedCall),
      warnings: item.list('warnings', readWarning),
      error: item.objectOrNull('error')?.text('message') ?? null,
    };
  });
}

function readPlannedCall(item: Fields): PlannedCall {
  const otherwise = item.objectOrNull('otherwise');
  return {
    ...readCall(item),
    note: item.textOrNull('note'),
    otherwise: otherwise && { when: otherwise.text('when'), calls: otherwise.list('calls', readCall) },
  };
}

function readCall(item: Fields): { method: string; path: string; body: unknown } {
  return { method: item.text('method'), path: item.text('path'), body: item.raw('body') };
}

/** What became of an event that was sent. */
export type Sent = {
  id: string | null;
  status: string;
  reason: string | null;
  intercomStatus: number | null;
  calls: number;
  error: string | null;
};

export function readSent(body: unknown): Sent[] {
  return fields(body).list('events', (item) => {
    const intercom = item.objectOrNull('intercom');
    return {
      id: item.textOrNull('id'),
      status: item.text('status'),
      reason: item.textOrNull('reason'),
      intercomStatus: intercom?.numberOrNull('status') ?? null,
      calls: intercom?.number('calls') ?? 0,
      error: item.objectOrNull('error')?.text('message') ?? null,
    };
  });
}
