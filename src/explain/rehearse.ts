import { explain as explainReason } from '../console/reasons.ts';
import type { ConsentPolicy } from '../ingest/consent-policy.ts';
import type { Desk, Destination, Step, Work, WorkJob } from '../intercom/destination.ts';
import { forkOf, placeholders } from '../intercom/rehearsal.ts';
import type { NewEvent, PersonView } from '../queue/queue.ts';
import type { ExplainedCall, ExplainedEvent } from './answer.ts';
import { remedies } from './remedies.ts';

type Stage = ReturnType<Destination['rehearse']>;
type Part = { id: string; event: NewEvent; answer: ExplainedEvent };

export type Prompter = {
  jobsEach: number;
  mayStillSend: ConsentPolicy['mayStillSend'];
  shared(key: string): Promise<string | null>;
  share(key: string, record: string): void;
  filter(answer: ExplainedEvent, reason: string): void;
};

/** A wait that the destination asks for (for the search index) is played as over; more than this are none of its own. */
const mostWaits = 3;

/** Plays one person's events through the destination, and writes down in their answers what it would have said. */
export async function rehearsePerson(
  opening: Stage,
  view: PersonView,
  parts: Part[],
  prompter: Prompter,
): Promise<void> {
  const answers = new Map(parts.map(({ id, answer }) => [id, answer]));
  const never = new AbortController().signal;
  const desk: Desk = {
    patience: { stop: never, abort: never },
    async save(_record, shared) {
      for (const { key, record } of shared) prompter.share(key, record);
    },
    choose: () => Promise.resolve(),
    shared: prompter.shared,
    alone: (_, work) => work(),
    mayGoOn: () => Promise.resolve(true),
    mayStillSend: (event, job) => prompter.mayStillSend(event, Math.min(job.atMs, job.receivedAtMs), view.consent),
  };
  const known = { person: view.person, record: view.record, joined: view.joined };
  let stage = opening;
  let waits = 0;
  for (let left = parts.map(toJob); left.length > 0;) {
    const lease = left.slice(0, prompter.jobsEach);
    let ended = 0;
    let laterMs: number | undefined;
    for await (const step of stage.deliver({ ...known, jobs: lease }, desk)) {
      const before: Work = { ...known, jobs: step.jobs };
      const { outcome } = step;
      if (outcome.kind === 'retry') {
        laterMs = outcome.afterMs ?? 0;
        const answer = answers.get(step.jobs.at(-1)!.id)!;
        await tellCalls(stage, before, step, desk, answer);
        answer.warnings.push(waitWarning(outcome.reason, laterMs));
      } else {
        await tell(stage, before, step, desk, answers, prompter);
        ended += step.jobs.length;
        left = left.filter((job) => !step.jobs.includes(job));
        for (const { key, record } of step.shared) prompter.share(key, record);
      }
      known.record = step.record;
      known.joined = [];
    }
    if (ended === 0 && laterMs === undefined) return;
    if (laterMs === undefined) continue;
    waits += 1;
    if (waits > mostWaits) return;
    stage = stage.rehearse({ shared: prompter.shared, laterMs });
  }
}

function toJob({ id, event: { receivedAtMs, atMs, payload } }: Part): WorkJob {
  return { id, receivedAtMs, atMs, payload, createdAtSeconds: null, wasHeld: false };
}

async function tell(
  stage: Stage,
  before: Work,
  step: Step,
  desk: Desk,
  answers: Map<string, ExplainedEvent>,
  prompter: Prompter,
): Promise<void> {
  const { outcome, jobs, exchange } = step;
  const told = jobs.map(({ id }) => answers.get(id)!);
  const last = told.at(-1)!;
  for (const warning of exchange.warnings) {
    const remedy = remedies[warning.code];
    last.warnings.push({ ...warning, ...(remedy !== undefined && { remedy }) });
  }
  if (outcome.kind === 'filtered') {
    for (const answer of told) prompter.filter(answer, outcome.reason);
    return;
  }
  if (outcome.kind === 'rejected') {
    const message = explainReason(outcome.reason)?.cause ?? outcome.reason;
    for (const answer of told)
      Object.assign(answer, { status: 'rejected', error: { code: outcome.reason, message, path: '' } });
    return;
  }
  for (const answer of told) answer.reason = told.length > 1 ? 'merged' : step.calls === 0 ? 'unchanged' : null;
  await tellCalls(stage, before, step, desk, last);
}

async function tellCalls(
  stage: Stage,
  before: Work,
  { exchange: { calls } }: Step,
  desk: Desk,
  answer: ExplainedEvent,
): Promise<void> {
  for (const [at, call] of calls.entries()) {
    const otherwise = await otherCalls(stage, before, calls, at, desk);
    const { method, path, body = null } = call;
    answer.calls.push({ method: readMethod(method), path, body, note: noteOf(call, otherwise), otherwise });
  }
}

type Said = Step['exchange']['calls'];

/** The same step once more, with the other answer to this one call. */
async function otherCalls(
  stage: Stage,
  before: Work,
  calls: Said,
  at: number,
  desk: Desk,
): Promise<ExplainedCall['otherwise']> {
  const fork = forkOf(before, calls, at);
  if (!fork) return null;
  const { when, surprise } = fork;
  for await (const { exchange } of stage.rehearse({ shared: desk.shared, surprise }).deliver(before, desk)) {
    const turn = exchange.calls.findIndex(
      ({ path, body }) => path === surprise.path && JSON.stringify(body) === JSON.stringify(surprise.body),
    );
    const rest = exchange.calls.slice(turn + 1);
    return { when, calls: rest.map(({ method, path, body = null }) => ({ method: readMethod(method), path, body })) };
  }
  return null;
}

function noteOf(call: Said[number], otherwise: ExplainedCall['otherwise']): string | null {
  const notes: string[] = [];
  if (otherwise) {
    const next = otherwise.calls.map(({ method, path }) => `${method} ${path}`).join(', ');
    notes.push(`if ${otherwise.when}, then ${next === '' ? 'nothing more' : next}`);
  }
  const text = JSON.stringify([call.path, call.body]);
  for (const name of Object.values(placeholders)) {
    if (text.includes(name)) notes.push(`${name} stands for an id that Intercom will tell`);
  }
  if (call.path.startsWith('/data_attributes?')) notes.push('read once for all events, every 10 minutes at the most');
  return notes.length === 0 ? null : notes.join('; ');
}

function waitWarning(reason: string, afterMs: number): ExplainedEvent['warnings'][number] {
  const seconds = Math.ceil(afterMs / 1000);
  return {
    code: `waits_${reason}`,
    message: `sent in ${seconds} s at the earliest: until then nobody knows whether a lead that was being created has come into being`,
    remedy: "nothing: Intercom's search shows a new lead only after some minutes",
  };
}

function readMethod(method: string): ExplainedCall['method'] {
  if (method === 'GET' || method === 'POST' || method === 'PUT' || method === 'DELETE') return method;
  throw new Error(`the destination made a call by ${method}`);
}
