import { type Consent, readConsent, readWarning, type Warning } from './event.ts';
import { type Fields, fields } from './fields.ts';

/** What would be done with an event, were it sent now. */
export type Explained = {
  index: number;
  type: string;
  status: string;
  reason: string | null;
  consent: Consent | null;
  person: string | null;
  calls: { method: string; path: string; body: unknown; note: string | null }[];
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

function readPlannedCall(item: Fields): Explained['calls'][number] {
  return {
    method: item.text('method'),
    path: item.text('path'),
    body: item.raw('body'),
    note: item.textOrNull('note'),
  };
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
