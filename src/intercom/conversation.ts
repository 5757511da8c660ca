import type { Call, IntercomClient, Patience, Reply } from './client.ts';
import type { ContactRecord } from './contact-record.ts';
import { type Outcome, type Verdict, judge } from './outcome.ts';

/** One person's dealings with Intercom while a lease lasts: who it is, what is known, and what was said so far. */
export type Conversation = {
  readonly person: Person;
  record: ContactRecord;
  /** Whether an event of this person was sent, and may have arrived or not. */
  isInDoubt: boolean;
  call(request: Request): Promise<Verdict>;
  /** Makes the record, and what was shared, durable now, before a call whose end may stay unknown. */
  save(): Promise<void>;
  /** A record that belongs to no person (a company). */
  shared(key: string): Promise<string | null>;
  share(key: string, record: string): void;
  /** Runs `work` while nobody else does for the same key. */
  alone<T>(key: string, work: () => Promise<T>): Promise<T>;
  warn(warning: { code: string; message: string; field?: string }): void;
};

type Request = Omit<Call, 'patience' | 'mayGo'>;

export type Person = { kind: 'user' | 'email' | 'erasure'; value: string };

/** What one step said and heard, for the attempt's story. */
export type Exchange = {
  calls: {
    method: string;
    path: string;
    body?: unknown;
    status: number | null;
    answer?: unknown;
    requestId?: string;
    /** When it was sent, Unix ms. */
    atMs: number;
    ms: number;
  }[];
  warnings: { code: string; message: string; field?: string }[];
};

export type Transcript = { exchange: Exchange; shared: Map<string, string> };

type Leased = Conversation & {
  /** What was said since the last turn. */
  turn(): Transcript;
  /** The wall clock's time of what `performance.now()` said. */
  unixMs(reading: number): number;
};

export function createConversation(options: {
  person: Person;
  record: ContactRecord;
  client: IntercomClient;
  patience: Patience;
  mayGo: () => Promise<void>;
  save(record: ContactRecord, shared: { key: string; record: string }[]): Promise<void>;
  shared(key: string): Promise<string | null>;
  alone<T>(key: string, work: () => Promise<T>): Promise<T>;
}): Leased {
  let transcript = blank();
  // Read once: what happens within one lease stays in its order, though the wall clock be set meanwhile.
  const originMs = Date.now() - performance.now();

  const conversation: Leased = {
    person: options.person,
    record: options.record,
    isInDoubt: false,
    async call(request) {
      const reply = await options.client.call({ ...request, patience: options.patience, mayGo: options.mayGo });
      transcript.exchange.calls.push(describe(request, reply, originMs));
      return judge(reply);
    },
    save() {
      // Written once: by the end of the step another member of the company may have written a newer one.
      const shared = sharedIn(transcript);
      transcript.shared = new Map();
      return options.save(conversation.record, shared);
    },
    alone: options.alone,
    shared: async (key) => transcript.shared.get(key) ?? (await options.shared(key)),
    share: (key, record) => void transcript.shared.set(key, record),
    warn: (warning) => void transcript.exchange.warnings.push(warning),
    unixMs: (reading) => originMs + reading,
    turn() {
      const said = transcript;
      transcript = blank();
      return said;
    },
  };
  return conversation;
}

export function sharedIn({ shared }: Transcript): { key: string; record: string }[] {
  return [...shared].map(([key, record]) => ({ key, record }));
}

function blank(): Transcript {
  return { exchange: { calls: [], warnings: [] }, shared: new Map() };
}

function describe({ method, path, body }: Request, reply: Reply, originMs: number): Exchange['calls'][number] {
  const request = { method, path, ...(body !== undefined && { body }) };
  // Both ends are rounded, not the length: what lies within an attempt does so in whole milliseconds as well.
  const sentAtMs = originMs + reply.startedAt;
  const atMs = Math.round(sentAtMs);
  const times = { atMs, ms: Math.round(sentAtMs + reply.ms) - atMs };
  if (reply.kind === 'no_answer') return { ...request, status: null, answer: { failure: reply.code }, ...times };
  return {
    ...request,
    status: reply.status,
    ...(reply.errors.length > 0 && { answer: { errors: reply.errors } }),
    ...(reply.requestId !== null && { requestId: reply.requestId }),
    ...times,
  };
}

export const delivered = (status: number | null): Outcome => ({ kind: 'delivered', status });

/** An answer that no repair knows what to do with at this place. */
export function outcomeOf(verdict: Exclude<Verdict, { kind: 'done' }>): Outcome {
  switch (verdict.kind) {
    case 'missing':
      return { kind: 'retry', reason: 'not_found', status: 404 };
    case 'exists':
      return { kind: 'retry', reason: 'conflict', status: 409 };
    case 'unknown_attribute':
      return { kind: 'rejected', reason: 'invalid_request', status: 400 };
    case 'retry':
    case 'hold':
    case 'rejected':
      return verdict;
    default:
      return verdict satisfies never;
  }
}
