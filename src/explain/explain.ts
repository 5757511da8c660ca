import { explain as explainReason } from '../console/reasons.ts';
import { type Accepted, acceptEvent, type AcceptOptions } from '../ingest/accept.ts';
import type { Destination } from '../intercom/destination.ts';
import type { NewEvent, NewestConsent, PersonView, Queue, Receipt } from '../queue/queue.ts';
import type { ExplainedEvent, ExplainedWarning } from './answer.ts';
import { rehearsePerson } from './rehearse.ts';

export type ExplainOptions = {
  queue: Pick<Queue, 'preview' | 'record'>;
  accept: AcceptOptions;
  /** How many jobs of a person go together: identifies are merged among these. */
  jobsEach: number;
  now?: () => number;
};

export type Installation = {
  id: string;
  destination: Pick<Destination, 'rehearse'>;
  /** Why its events wait, where they do. */
  hold: { reason: string; message: string; remedy: string } | null;
};

type Kept = { event: NewEvent; answer: ExplainedEvent };

/**
 * What /ingest would make of raw events now. Each part is decided by the code that decides it when they are sent:
 * nothing here knows how.
 */
export async function explainEvents(
  raws: unknown[],
  installation: Installation,
  requestKey: string | undefined,
  options: ExplainOptions,
): Promise<ExplainedEvent[]> {
  const arrival = { installation: installation.id, receivedAtMs: (options.now ?? Date.now)(), requestKey };
  const accepted = raws.map((raw) => acceptEvent(raw, arrival, options.accept));
  const answers = accepted.map(firstAnswer);
  const kept = accepted.flatMap((one, index): Kept[] =>
    one.ok ? [{ event: one.event, answer: answers[index]! }] : [],
  );
  if (kept.length === 0) return answers;

  const { receipts, people, views } = await options.queue.preview(kept.map(({ event }) => event));
  const byPerson = new Map<string, (Kept & { receipt: Receipt })[]>(views.map(({ person }) => [person, []]));
  kept.forEach((one, index) => {
    const receipt = receipts[index]!;
    one.answer.person = people[index]!;
    if (receipt.duplicate) duplicate(one.answer, receipt, receipts);
    else if (receipt.status === 'filtered') filter(one.answer, receipt.reason ?? 'filtered');
    else byPerson.get(people[index]!)!.push({ ...one, receipt });
  });

  const shared = new Map<string, string>();
  const readShared = async (key: string): Promise<string | null> =>
    shared.get(key) ?? options.queue.record(installation.id, key);
  const stage = installation.destination.rehearse({ shared: readShared });
  for (const view of views) {
    const sent = byPerson.get(view.person)!;
    if (sent.length === 0) continue;
    const common = commonWarnings(view, installation);
    if (view.person.startsWith('anon:')) {
      for (const { answer } of sent) hold(answer);
    } else {
      const jobs = sent.map(({ event, receipt, answer }) => ({ event, id: receipt.id, answer }));
      await rehearsePerson(stage, view, jobs, {
        jobsEach: options.jobsEach,
        mayStillSend: options.accept.consent.mayStillSend,
        shared: readShared,
        share: (key, record) => void shared.set(key, record),
        filter: (answer, reason) => filter(answer, reason, reason === 'consent_revoked' ? view.consent : null),
      });
    }
    for (const { answer } of sent) if (answer.status === 'would_send') answer.warnings.push(...common);
  }
  return answers;
}

function firstAnswer(one: Accepted, index: number): ExplainedEvent {
  const blank = { index, reason: null, person: null, calls: [], warnings: [] };
  if (one.ok) {
    const { messageId, type, decision } = one.event;
    return { ...blank, messageId, type, status: 'would_send', consent: JSON.parse(decision) };
  }
  const [first] = one.problems;
  const error = {
    code: first!.code,
    message: one.problems.map(({ message }) => message).join('; '),
    path: first!.path,
  };
  return { ...blank, messageId: one.messageId, type: null, status: 'rejected', consent: null, error };
}

function filter(answer: ExplainedEvent, reason: string, consent: NewestConsent | null = null): void {
  answer.status = 'would_filter';
  answer.reason = reason;
  const known = explainReason(reason);
  if (!known) return;
  const since = consent ? `, on ${new Date(consent.atMs).toISOString()}` : '';
  answer.warnings.unshift({ code: reason, message: known.cause + since, remedy: known.remedy });
}

function duplicate(answer: ExplainedEvent, receipt: Receipt & { duplicate: true }, all: Receipt[]): void {
  answer.status = 'would_filter';
  answer.reason = 'duplicate';
  const isHere = all.some((other) => !other.duplicate && other.id === receipt.id);
  answer.warnings.push({
    code: 'duplicate',
    message: isHere
      ? 'an event before it in this request has the same messageId: it would not be sent again'
      : `this messageId is known: it would be answered with the state of ${receipt.id} (${receipt.original.status}), and not sent again`,
    remedy: 'send it with another messageId if it is another event',
  });
}

function hold(answer: ExplainedEvent): void {
  answer.reason = 'held_until_login';
  answer.warnings.push({
    code: 'held_until_login',
    message: 'nobody knows yet whose event this is: it is kept until an event ties its anonymousId to a user or email',
    remedy: 'nothing; without a login within ANONYMOUS_HOLD_HOURS it is filtered as never_identified',
  });
}

/** What holds for all events of a person that would be sent. */
function commonWarnings({ queued }: PersonView, { hold: held }: Installation): ExplainedWarning[] {
  const warnings: ExplainedWarning[] = [];
  if (held) warnings.push({ code: `hold_${held.reason}`, message: held.message, remedy: held.remedy });
  if (queued > 0) {
    warnings.push({
      code: 'queued_before',
      message: `${queued} events of this person are queued and go first: what they change in Intercom is not in these calls yet`,
      remedy: 'explain again once they are delivered',
    });
  }
  return warnings;
}
