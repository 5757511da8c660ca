import type { Test } from 'tap';
import { request } from 'undici';
import type { Simulator } from '../../src/simulator/simulator.ts';
import { until } from '../service.ts';

/** Who sends events while processes die, and what was acknowledged of them. */
export type Person = {
  id: string;
  identity: { userId?: string; traits?: { email: string } };
  next: number;
  acknowledged: number[];
};

/** Events of one post. */
export const mostAtOnce = 3;

export function user(id: string): Person {
  return { id, identity: { userId: id }, next: 0, acknowledged: [] };
}

export function lead(id: string): Person {
  return { id, identity: { traits: { email: `${id}@example.com` } }, next: 0, acknowledged: [] };
}

/** One person's events, one post after the other, until one is not acknowledged. */
export async function load(
  person: Person,
  post: (events: object[]) => Promise<boolean>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const n = person.next;
    const events = Array.from({ length: 1 + (n % mostAtOnce) }, (_, i) => ({
      type: 'track',
      event: 'Clicked',
      ...person.identity,
      messageId: `${person.id}-${n + i}`,
      timestamp: 1_772_029_800_000 + Math.floor((n + i) / 4) * 1000,
      properties: { n: n + i },
    }));
    if (!(await post(events))) return;
    person.acknowledged.push(...events.map(({ properties }) => properties.n));
    person.next += events.length;
  }
}

/** So many posts of a person's, unless one is not acknowledged. */
export async function loadSome(
  person: Person,
  post: (events: object[]) => Promise<boolean>,
  posts: number,
): Promise<void> {
  const enough = new AbortController();
  let left = posts;
  const counted = (events: object[]): Promise<boolean> => {
    left -= 1;
    if (left === 0) enough.abort();
    return post(events);
  };
  await load(person, counted, enough.signal);
}

export function acknowledgedOf(people: { acknowledged: number[] }[]): number {
  return people.reduce((sum, person) => sum + person.acknowledged.length, 0);
}

/** What of a person's is on Intercom's timeline, in the order of arrival. */
export function arrivedOf(simulator: Simulator, { id, identity }: Person): number[] {
  const contacts = identity.userId === undefined ? leadsOf(simulator, identity).map((made) => made.id) : [id];
  return contacts.flatMap((contact) => simulator.timeline(contact).map(({ metadata }) => Number(metadata.n)));
}

/** Everything acknowledged arrived, once, in order. */
export function judge(t: Test, simulator: Simulator, people: Person[]): void {
  for (const person of people) {
    const arrived = arrivedOf(simulator, person);
    t.strictSame(
      person.acknowledged.filter((n) => !arrived.includes(n)),
      [],
      `${person.id}: nothing acknowledged is lost`,
    );
    judgeOrder(t, person, arrived);
  }
}

/** Leads, of whom the last events may still wait: one contact at the most, nothing doubled, all in order. */
export function judgeWaiting(t: Test, simulator: Simulator, leads: Person[]): void {
  for (const person of leads) {
    t.ok(leadsOf(simulator, person.identity).length <= 1, `${person.id}: one lead at the most`);
    judgeOrder(t, person, arrivedOf(simulator, person));
  }
}

function judgeOrder(t: Test, { id }: Person, arrived: number[]): void {
  t.equal(new Set(arrived).size, arrived.length, `${id}: nothing is doubled`);
  t.strictSame(
    arrived,
    arrived.toSorted((a, b) => a - b),
    `${id}: in the order of acceptance`,
  );
}

function leadsOf(simulator: Simulator, { traits }: Person['identity']): { id: string }[] {
  return simulator.allContacts().filter(({ email }) => email === traits?.email);
}

export async function ledgerOf(url: string): Promise<string> {
  return (await request(`${url}/metrics`)).body.text();
}

/** The ledger when all is delivered that was acknowledged of these, and of `others` more events. */
export async function deliveredLedger(
  url: string,
  people: Person[],
  { withinMs, others = 0 }: { withinMs?: number; others?: number } = {},
): Promise<string> {
  const look = async (): Promise<string | null> => {
    const text = await ledgerOf(url);
    return totalOf(text, 'delivered') === acknowledgedOf(people) + others ? text : null;
  };
  return until('all is delivered', look, withinMs);
}

export function judgeLedger(t: Test, ledger: string): void {
  const states = ['delivered', 'filtered', 'dead', 'queued'].map((state) => totalOf(ledger, state));
  t.equal(
    totalOf(ledger, 'accepted'),
    states.reduce((sum, n) => sum + n),
    'the ledger balances',
  );
  t.equal(totalOf(ledger, 'dead'), 0, 'nothing died');
}

export function totalOf(metrics: string, state: string): number {
  const name = state === 'accepted' ? 'accepted_events_total' : `ledger_events\\{state="${state}"\\}`;
  return Number(new RegExp(`${name} (\\d+)`).exec(metrics)?.[1]);
}
