import { setTimeout as delay } from 'node:timers/promises';
import { createRandom, type Random } from '../faults/random.ts';
import { tryPost } from '../process.ts';

/** Somebody whose events a sender sends, as the sender knows it. */
export type Person = {
  id: string;
  next: number;
  /** Events for the timeline that were acknowledged, by their number, in order. */
  acknowledged: number[];
  /** The newest acknowledged value of the trait `score`; -1: none. */
  score: number;
  companies: Set<string>;
};

export type Totals = { posts: number; accepted: number; invalid: number; duplicates: number; repeats: number };

export type Senders = { people: Person[]; totals: Totals; done: Promise<void> };

type Made = { person: Person; n: number; kind: Kind; body: Record<string, unknown> };
type Kind = (typeof kinds)[number];

const kinds = ['track', 'track', 'track', 'page', 'page', 'identify', 'identify', 'group'] as const;
const streams = 8;
const peopleEach = 25;
const largestBatch = 12;
const repeatAfterMs = 200;

/**
 * Senders that go on until they are stopped: singles and batches, some of them with an invalid event, some sent twice.
 * What is not acknowledged is sent again until it is, as Signal does.
 */
export function startSenders(options: {
  url(): string;
  seed: number;
  eventsPerSecond: number;
  stop: AbortSignal;
}): Senders {
  const totals: Totals = { posts: 0, accepted: 0, invalid: 0, duplicates: 0, repeats: 0 };
  const all = Array.from({ length: streams }, (_, stream) => ({
    random: createRandom(options.seed + stream),
    people: Array.from({ length: peopleEach }, (_unused, n): Person => ({
      id: `u-${stream}-${n}`,
      next: 0,
      acknowledged: [],
      score: -1,
      companies: new Set(),
    })),
  }));

  async function run(random: Random, people: Person[]): Promise<void> {
    let nextAt = performance.now();
    while (!options.stop.aborted) {
      const size = random.chance(0.4) ? 1 : 2 + random.below(largestBatch - 1);
      const made = Array.from({ length: size }, () => make(random, random.pick(people)));
      const isSpoiled = random.chance(0.05);
      await post(made, isSpoiled);
      if (random.chance(0.05)) await post(made, false, true);
      if (random.chance(0.02)) await refuse();
      nextAt += (size / options.eventsPerSecond) * streams * 1000;
      await delay(Math.max(0, nextAt - performance.now()));
    }
  }

  async function post(made: Made[], isSpoiled: boolean, isRepeat = false): Promise<void> {
    const bodies = made.map(({ body }) => body);
    const events = isSpoiled ? [...bodies, { type: 'track', event: 'Nobody' }] : bodies;
    const body = events.length === 1 ? events[0] : events;
    for (;;) {
      const answer = await tryPost(options.url(), body, { prefer: 'respond-async' }, 30_000);
      if (answer && answer.status < 300) break;
      totals.repeats += 1; // the service is down, or starts
      await delay(repeatAfterMs);
    }
    totals.posts += 1;
    if (isSpoiled) totals.invalid += 1;
    if (isRepeat) {
      totals.duplicates += made.length;
      return;
    }
    totals.accepted += made.length;
    for (const { person, n, kind, body: sent } of made) {
      if (kind === 'identify') person.score = n;
      else if (kind === 'group') person.companies.add(String(sent.groupId));
      else person.acknowledged.push(n);
    }
  }

  /** An event of nobody, alone. */
  async function refuse(): Promise<void> {
    const answer = await tryPost(options.url(), { type: 'track', event: 'Nobody' });
    if (!answer) return;
    if (answer.status !== 400 && answer.status !== 503)
      throw new Error(`an invalid event was answered ${answer.status}`);
    totals.invalid += 1;
  }

  async function runAll(): Promise<void> {
    await Promise.all(all.map(({ random, people }) => run(random, people)));
  }

  return { people: all.flatMap(({ people }) => people), totals, done: runAll() };
}

function make(random: Random, person: Person): Made {
  const kind = random.pick(kinds);
  const n = person.next;
  person.next += 1;
  const common = { type: kind, userId: person.id, messageId: `${person.id}-${n}`, timestamp: new Date().toISOString() };
  const text = 'x'.repeat(random.below(400));
  switch (kind) {
    case 'track':
      return {
        person,
        n,
        kind,
        body: { ...common, event: random.pick(['Clicked', 'Viewed']), properties: { n, who: person.id, text } },
      };
    case 'page':
      return {
        person,
        n,
        kind,
        body: { ...common, properties: { n, who: person.id, url: `https://shop.example.com/${n}` } },
      };
    case 'identify':
      return { person, n, kind, body: { ...common, traits: { score: n } } };
    case 'group': {
      const groupId = `company-${random.below(10)}`;
      return { person, n, kind, body: { ...common, groupId, traits: { name: groupId } } };
    }
    default:
      return kind satisfies never;
  }
}
