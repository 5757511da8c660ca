import type { Call, Contact, Simulator } from '../../src/simulator/simulator.ts';
import { createPeople } from './people.ts';
import { bodyOf, createsLead } from './plan.ts';
import { ghost, secret, type Sent } from './workload.ts';

/** What a run leaves behind: nothing of the service's own making but its answers. */
export type Evidence = {
  simulator: Simulator;
  /** Of the service; what prepared the workspace came before. */
  calls: Call[];
  events: Sent[];
  /** When each event was first known to be kept, by messageId. */
  acknowledgedAtMs: Map<string, number>;
  /** What the service said of each event when it was sent again in the end, by messageId. */
  told: Map<string, { status: string; reason: string | undefined }>;
  ledger: Record<string, number>;
  faults: number;
  /** What went wrong before there was anything to judge. */
  troubles: string[];
};

type Arrival = { n: number; sequence: number };

/** Everything that must hold and does not; empty where the service has kept its promises. */
export function judge(evidence: Evidence): string[] {
  const { simulator, calls, told } = evidence;
  const accepted = evidence.events
    .filter(({ messageId }) => evidence.acknowledgedAtMs.has(messageId))
    .toSorted((a, b) => a.n - b.n);
  const people = createPeople(accepted);
  const byPerson = Map.groupBy(accepted, people.inTheEnd);
  const arrivals = new Map<number, Arrival & { person: string }>();
  const objections: string[] = [...evidence.troubles];
  const object = (rule: string, text: string): void => void objections.push(`${rule}: ${text}`);

  const stateOf = (event: Sent) => told.get(event.messageId) ?? { status: 'unknown', reason: undefined };
  const sends = Map.groupBy(
    calls.filter(({ endpoint }) => endpoint === 'POST /events'),
    (call) => numberIn(call),
  );

  function contactOf(person: string): Contact | undefined {
    if (!person.includes('@')) return simulator.contact(person);
    return simulator.contacts().find(({ email, role }) => email === person && role === 'lead');
  }

  function readTimelines(): void {
    for (const person of byPerson.keys()) {
      const contact = contactOf(person);
      if (!contact) continue;
      const timeline = simulator.timeline(contact.id);
      for (const { metadata, sequence } of timeline) {
        const n = Number(metadata['n']);
        if (arrivals.has(n))
          object('doubled', `n ${n} stands in the timelines of ${arrivals.get(n)?.person} and ${person}`);
        else arrivals.set(n, { n, sequence, person });
      }
    }
  }

  function judgeEnds(): void {
    for (const event of accepted) {
      const { status, reason } = stateOf(event);
      const what = `n ${event.n} (${event.kind} of ${people.inTheEnd(event)})`;
      const arrival = arrivals.get(event.n);
      if (arrival && arrival.person !== people.inTheEnd(event))
        object('right contact', `${what} stands in the timeline of ${arrival.person}`);
      if (arrival && status !== 'delivered' && !(['filtered', 'queued'].includes(status) && isInDoubt(event)))
        object('told', `${what} has arrived, and is told to be ${status} ${reason}`);
      switch (status) {
        case 'delivered':
          if (isTimed(event) && !arrival) object('lost', `${what} is told to be delivered, and stands nowhere`);
          break;
        case 'filtered':
          judgeFiltered(event, reason, what);
          break;
        case 'dead':
          if (reason !== 'invalid_request' || !isRefused(event))
            object('dead', `${what} for ${reason}, which is not so`);
          break;
        case 'queued':
          if (!waitsForLead(event)) object('stuck', `${what} is still queued`);
          break;
        default:
          object('lost', `${what} was acknowledged, and is ${status} now`);
      }
      if (status !== 'dead' && isRefused(event))
        object('dead', `${what} was refused with 422, and is told to be ${status}`);
      judgeConsent(event, status, what);
    }
  }

  const isRefused = (event: Sent): boolean => (sends.get(event.n) ?? []).some(({ status }) => status === 422);

  /** Sent without an answer; what is refused or waits before the next attempt may have arrived. */
  const isInDoubt = (event: Sent): boolean =>
    (sends.get(event.n) ?? []).some(({ fault, status }) => fault !== undefined && (status === 0 || status >= 500));

  /** Whose lead may exist or not, because the answer to its creation was lost. */
  function waitsForLead(event: Sent): boolean {
    const emails = new Set((byPerson.get(people.inTheEnd(event)) ?? []).flatMap(({ email }) => email ?? []));
    const creations = calls.filter((call) => createsLead(call) && emails.has(String(bodyOf(call).email)));
    return creations.some(({ status, fault }) => fault !== undefined && (status === 0 || status >= 500));
  }

  /** Statements of consent by the same person, as far as it was the same when the later of the two was accepted. */
  function statements(event: Sent, consent: Sent['consent']): Sent[] {
    return (byPerson.get(people.inTheEnd(event)) ?? []).filter((other) => other.consent === consent);
  }

  function judgeFiltered(event: Sent, reason: string | undefined, what: string): void {
    if (event.consent === 'refused') {
      if (reason !== 'consent_functional')
        object('consent', `${what} refuses, and is told to be filtered for ${reason}`);
      return;
    }
    const refusals = statements(event, 'refused').filter(({ n }) => event.consent === 'silent' || n > event.n);
    if (reason !== 'consent_revoked' || refusals.length === 0)
      object('consent', `${what} is filtered for ${reason}, and nobody has refused`);
  }

  function judgeConsent(event: Sent, status: string, what: string): void {
    if (event.consent === 'refused' && status !== 'filtered')
      object('consent', `${what} refuses, and is told to be ${status}`);
    const refusals = statements(event, 'refused');
    const grants = statements(event, 'granted');
    const asOfEvent = (other: Sent): boolean => people.asOf(event, other) === people.asOf(event, event);
    const before = refusals.findLast((other) => other.n < event.n && asOfEvent(other));
    // What still waits behind a lead in doubt was not sent, and is asked about again before it is.
    const isUnsent = status === 'filtered' || status === 'queued';
    if (event.consent === 'silent' && before && !grants.some(({ n }) => n > before.n) && !isUnsent)
      object('consent', `${what} says nothing of consent, n ${before.n} refused it before, and it is ${status}`);
    // Once a refusal is acknowledged, nothing of before is begun any more; what was on its way may still come in.
    const after = refusals.find(
      (other) => other.n > event.n && people.asOf(other, event) === people.asOf(other, other),
    );
    if (!after || grants.some(({ n }) => n > after.n)) return;
    const refusedAtMs = evidence.acknowledgedAtMs.get(after.messageId) ?? Infinity;
    const late = (sends.get(event.n) ?? []).find(({ at }) => at > refusedAtMs + underWayMs);
    if (late && (late.at > refusedAtMs + slowestMs || isAfterAnother(late, refusedAtMs + underWayMs)))
      object('consent', `${what} was sent ${late.at - refusedAtMs} ms after n ${after.n} had refused it`);
  }

  /** On its way is but one call of a person at a time: a second one was begun after the first was answered. */
  function isAfterAnother(late: Call, sinceMs: number): boolean {
    const { id, user_id: userId } = bodyOf(late);
    const isSame = (call: Call): boolean => bodyOf(call).id === id && bodyOf(call).user_id === userId;
    return [...sends.values()]
      .flat()
      .some((call) => call !== late && call.at > sinceMs && call.at < late.at && isSame(call));
  }

  function judgeOrder(): void {
    const inOrder = accepted.filter(({ n }) => arrivals.has(n));
    for (const event of inOrder) {
      const early = inOrder.find(
        (earlier) =>
          earlier.n < event.n &&
          people.asOf(event, earlier) === people.asOf(event, event) &&
          arrivals.get(earlier.n)!.sequence > arrivals.get(event.n)!.sequence,
      );
      if (early) object('order', `n ${event.n} came before n ${early.n} of the same person, ${people.inTheEnd(event)}`);
    }
  }

  function judgeRepeats(): void {
    const stored = [...byPerson.keys()].flatMap((person) => simulator.timeline(contactOf(person)?.id ?? ''));
    const twice = stored.map(({ metadata }) => metadata['n']).filter((n, index, all) => all.indexOf(n) !== index);
    for (const n of twice) object('doubled', `n ${String(n)} stands twice`);
    for (const [n, all] of sends) {
      const maybeDone = all.filter(({ status }) => status < 400 || status >= 500);
      const bodies = new Set(maybeDone.map((call) => JSON.stringify(withoutPerson(bodyOf(call)))));
      if (bodies.size > 1) object('resend', `n ${n} was sent in ${bodies.size} ways: ${[...bodies].join(' and ')}`);
    }
  }

  function judgeContacts(): void {
    for (const person of byPerson.keys()) {
      const contact = contactOf(person);
      if (!contact) continue;
      const own = (byPerson.get(person) ?? []).filter((event) => stateOf(event).status === 'delivered');
      for (const key of ['name', 'plan', 'score', 'email']) {
        const said = (byPerson.get(person) ?? []).filter(
          (event) => event.kind === 'identify' && event.consent !== 'refused' && key in traitsOf(event),
        );
        const last = said.findLast((event) => own.includes(event) && people.asOf(event, event) === person);
        if (!last) continue;
        const has = key in contact ? contact[key as 'name' | 'email'] : contact.custom_attributes[key];
        // Two kinds may or may not have come after it, whichever was accepted first: what an email said of itself before
        // it was known whose it is, and what was sent without an answer before consent was taken back.
        const maySayLast = (event: Sent): boolean => event.n >= last.n || people.asOf(event, event) !== person;
        if (!said.some((event) => maySayLast(event) && traitsOf(event)[key] === has))
          object('traits', `${person} has ${key} ${has}, and n ${last.n} said ${String(traitsOf(last)[key])}`);
      }
      for (const { groupId, n } of own.filter(({ kind }) => kind === 'group')) {
        const company = simulator.companies().find(({ company_id }) => company_id === groupId);
        if (!company?.contactIds.includes(contact.id)) object('group', `n ${n}: ${person} is no member of ${groupId}`);
      }
    }
    judgeScores();
  }

  /** A number that grows with every change of a person, so that an older value must not come after a newer one. */
  function judgeScores(): void {
    const highest = new Map<string, number>();
    for (const call of calls.filter(
      ({ committed, endpoint }) => committed && /^(POST|PUT) \/contacts/.test(endpoint),
    )) {
      const body = bodyOf(call);
      const attributes: unknown = body['custom_attributes'];
      if (typeof attributes !== 'object' || attributes === null || !('score' in attributes)) continue;
      const contact = simulator.allContacts().find(({ id }) => call.path.endsWith(id));
      const person = String(body['external_id'] ?? contact?.external_id ?? body['email']);
      const score = Number(attributes.score);
      if (score < (highest.get(person) ?? 0))
        object('order', `the score of ${person} fell from ${highest.get(person)} to ${score}`);
      highest.set(person, score);
    }
  }

  function judgeIdentities(): void {
    const leads = Map.groupBy(
      calls.filter((call) => createsLead(call) && call.committed),
      (call) => String(bodyOf(call).email),
    );
    for (const [email, made] of leads)
      if (made.length > 1) object('lead', `${email} was made a lead ${made.length} times`);
    for (const { id, external_id, email, role } of simulator.contacts()) {
      const person = role === 'user' ? external_id : email;
      if (!byPerson.has(person ?? '') && !isLeadInDoubt(email))
        object('identity', `nobody is the ${role} ${person} (${id})`);
    }
    const userIds = Map.groupBy(
      calls.filter(
        (call) => call.committed && call.endpoint.endsWith('/contacts/{id}') && 'external_id' in bodyOf(call),
      ),
      ({ path }) => path,
    );
    for (const [path, all] of userIds) {
      const ids = new Set(all.map((call) => bodyOf(call).external_id));
      if (ids.size > 1) object('identity', `${path} was given to ${[...ids].join(' and ')}`);
    }
  }

  const isLeadInDoubt = (email: string | null): boolean =>
    accepted.some((event) => event.email === email && waitsForLead(event));

  function judgeLedger(): void {
    const { accepted: all, delivered, filtered, dead, queued } = evidence.ledger;
    const sum = (delivered ?? 0) + (filtered ?? 0) + (dead ?? 0) + (queued ?? 0);
    if (all !== sum) object('ledger', `${JSON.stringify(evidence.ledger)} does not balance`);
    if (all !== accepted.length) object('ledger', `${all} were accepted, and ${accepted.length} acknowledged`);
    const count = Map.groupBy(accepted, (event) => stateOf(event).status);
    for (const status of ['delivered', 'filtered', 'dead', 'queued'])
      if (evidence.ledger[status] !== (count.get(status)?.length ?? 0))
        object(
          'ledger',
          `${evidence.ledger[status]} are ${status}, and ${count.get(status)?.length ?? 0} are told to be`,
        );
  }

  function judgePrivacy(): void {
    for (const { endpoint, path, requestBody } of calls) {
      const text = `${path} ${JSON.stringify(requestBody)}`;
      if (text.includes(secret)) object('consent', `${endpoint} carries what was refused: ${text}`);
      if (text.includes(ghost)) object('consent', `${endpoint} names who has never agreed: ${text}`);
    }
  }

  readTimelines();
  judgeEnds();
  judgeOrder();
  judgeRepeats();
  judgeContacts();
  judgeIdentities();
  judgeLedger();
  judgePrivacy();
  if (evidence.faults === 0) object('vacuous', 'no fault struck, so that nothing is shown');
  return objections;
}

/** What was on its way when a refusal was acknowledged may still arrive. */
const underWayMs = 1000;
/** The same on a machine that is busy elsewhere. */
const slowestMs = 20_000;

const isTimed = ({ kind }: Sent): boolean => kind === 'track' || kind === 'page';

function traitsOf({ traits, email }: Sent): Record<string, unknown> {
  return email === undefined ? traits : { ...traits, email };
}

/** A lead's event goes to its user once it has become one. */
function withoutPerson(body: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(body).filter(([key]) => key !== 'id' && key !== 'user_id'));
}

function numberIn(call: Call): number {
  const { metadata } = bodyOf(call);
  return typeof metadata === 'object' && metadata !== null && 'n' in metadata ? Number(metadata.n) : Number.NaN;
}
