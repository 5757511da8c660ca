import type { Reply } from './client.ts';

/** What becomes of a job after an attempt; all that the dispatcher knows of Intercom. */
export type Outcome =
  | { kind: 'delivered'; status: number | null }
  /** Kept from Intercom on purpose. */
  | { kind: 'filtered'; reason: FilterReason }
  /** This job again, later; `afterMs` is what the server asked for, on top of which the retry's own delay comes. */
  | { kind: 'retry'; reason: RetryReason; status: number | null; afterMs?: number }
  /** The whole installation waits: a bad token, the plan, the version. */
  | { kind: 'hold'; reason: HoldReason; status: number | null }
  /** To the dead letters; the person's next job goes on. */
  | { kind: 'rejected'; reason: RejectReason; status: number | null };

export type FilterReason = 'consent_revoked' | 'mapping_dropped';
export type RetryReason =
  | 'rate_limited'
  | 'server_error'
  | 'edge_error'
  | 'timeout'
  | 'connection'
  | 'conflict'
  | 'company_race'
  | 'not_found'
  | 'lead_unconfirmed';
export type HoldReason =
  | 'token_invalid'
  | 'token_scope'
  | 'plan_restricted'
  | 'forbidden'
  | 'version_invalid'
  | 'wrong_region';
export type RejectReason =
  | 'invalid_request'
  | 'not_restorable'
  | 'event_name_quota'
  | 'ambiguous_email'
  | 'attribute_quota'
  | 'company_limit'
  | 'unexpected_answer'
  | 'bug';

/** An answer that this service repairs by another call, or an outcome. */
export type Verdict =
  | { kind: 'done'; status: number; body: unknown }
  | { kind: 'exists'; contactId: string; archived: boolean }
  | { kind: 'missing' }
  | { kind: 'unknown_attribute'; name: string }
  /** `maybeDone`: Intercom may have carried it out all the same. */
  | (Extract<Outcome, { kind: 'retry' }> & { maybeDone: boolean })
  | Extract<Outcome, { kind: 'hold' | 'rejected' }>;

type Answer = Extract<Reply, { kind: 'answer' }>;
type Rule = {
  status?: number | [from: number, to: number];
  code?: string;
  message?: RegExp;
  json?: boolean;
  verdict(answer: Answer, match: string[]): Verdict;
};

const retry =
  (reason: RetryReason) =>
  (answer: Answer): Verdict => ({
    kind: 'retry',
    reason,
    status: answer.status,
    maybeDone: answer.status >= 500 || answer.status === 408,
  });
const hold =
  (reason: HoldReason) =>
  (answer: Answer): Verdict => ({ kind: 'hold', reason, status: answer.status });
const reject =
  (reason: RejectReason) =>
  (answer: Answer): Verdict => ({ kind: 'rejected', reason, status: answer.status });

/**
 * The one table from status, code and message to what follows; the first row that fits decides. The code goes before
 * the status, since Intercom has sent the same code under several; an HTML answer comes from an edge in front of
 * Intercom and says nothing of the request. What fits no row is such an answer, too.
 */
const table: Rule[] = [
  { status: [200, 299], verdict: ({ status, body }) => ({ kind: 'done', status, body }) },
  { status: 429, verdict: retry('rate_limited') },
  { code: 'rate_limit_exceeded', verdict: retry('rate_limited') },
  { code: 'too_many_requests', verdict: retry('rate_limited') },
  { code: 'unique_company_constraint', verdict: retry('company_race') },
  {
    message: /\b(archived )?contact matching those details already exists with id=(\w+)/i,
    verdict: (_, [, archived, contactId]) => ({
      kind: 'exists',
      contactId: contactId!,
      archived: archived !== undefined,
    }),
  },
  { message: /multiple existing users match/i, verdict: reject('ambiguous_email') },
  { message: /not restorable/i, verdict: reject('not_restorable') },
  { code: 'not_restorable', verdict: reject('not_restorable') },
  {
    message: /custom attribute '([^']+)' does not exist/i,
    verdict: (_, [, name]) => ({ kind: 'unknown_attribute', name: name! }),
  },
  { message: /active event names/i, verdict: reject('event_name_quota') },
  { code: 'custom_data_limit_reached', verdict: reject('attribute_quota') },
  { code: 'contact_company_limit_exceeded', verdict: reject('company_limit') },
  { code: 'intercom_version_invalid', verdict: hold('version_invalid') },
  { code: 'token_unauthorized', verdict: hold('token_scope') },
  { status: 401, json: true, verdict: hold('token_invalid') },
  { status: 402, json: true, verdict: hold('plan_restricted') },
  { code: 'api_plan_restricted', verdict: hold('plan_restricted') },
  { status: 403, json: true, verdict: hold('forbidden') },
  { status: 404, json: true, verdict: () => ({ kind: 'missing' }) },
  { status: 409, json: true, verdict: retry('conflict') },
  { status: 408, verdict: retry('timeout') },
  { status: [500, 599], verdict: retry('server_error') },
  { code: 'server_error', verdict: retry('server_error') },
  { json: true, status: [400, 499], verdict: reject('invalid_request') },
  { status: 413, verdict: reject('invalid_request') },
  { status: 414, verdict: reject('invalid_request') },
];

/** Judges any reply; a missing answer is a retry like any other. */
export function judge(reply: Reply): Verdict {
  if (reply.kind === 'no_answer') return { kind: 'retry', reason: reply.failure, status: null, maybeDone: reply.sent };
  for (const rule of table) {
    if (!fitsStatus(rule, reply.status) || (rule.json && !reply.isJson)) continue;
    if (rule.code === undefined && rule.message === undefined) return rule.verdict(reply, []);
    for (const { code, message } of reply.errors) {
      const match = rule.message ? rule.message.exec(message) : code === rule.code ? [] : null;
      if (match) return rule.verdict(reply, [...match]);
    }
  }
  return retry('edge_error')(reply);
}

function fitsStatus({ status }: Rule, actual: number): boolean {
  if (status === undefined) return true;
  return typeof status === 'number' ? actual === status : actual >= status[0] && actual <= status[1];
}
