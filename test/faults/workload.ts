import type { Random } from './random.ts';

/** One event as its sender knows it. Within one person, `n` grows in the order of acceptance. */
export type Sent = {
  n: number;
  messageId: string;
  kind: 'track' | 'page' | 'identify' | 'group';
  userId: string | undefined;
  email: string | undefined;
  consent: 'granted' | 'refused' | 'silent';
  traits: Record<string, string | number>;
  groupId: string | undefined;
  body: Record<string, unknown>;
};

/** One request; a repeat stands in it as the very same event again. */
export type Post = { events: Sent[]; waits: boolean };

export type Workload = {
  /** The requests of one stream are sent one after the other, the streams side by side; no person is in two of them. */
  streams: Post[][];
  events: Sent[];
  /** Users that Intercom has already. */
  existing: { userId: string; archived: boolean }[];
};

const eventsEach = 29;
/** Two of them are one to Intercom, which looks at neither case nor dots. */
const names = ['Clicked', 'clicked', 'Order.Placed', 'Product Viewed'];
/** Part of all that a sender has refused to share. */
export const secret = 'refused-';
/** Has never agreed to anything: not even this id may leave the house. */
export const ghost = 'ghost';

export function createWorkload(random: Random): Workload {
  const streams = [0, 1, 2, 3].map((number) => createStream(random, number));
  const events = [...new Set(streams.flat().flatMap((post) => post.events))];
  const existing = [0, 1, 2, 3].flatMap((number) =>
    random.chance(0.4) ? [{ userId: `u${number}a`, archived: random.chance(0.4) }] : [],
  );
  return { streams, events, existing };
}

/** Three users and three emails: one of a single user, one that two users share, one that stays a lead's. */
function createStream(random: Random, stream: number): Post[] {
  const [a, b, c] = [`u${stream}a`, `u${stream}b`, `u${stream}c`];
  const [own, shared, lead] = ['own', 'shared', 'lead'].map((kind) => `${kind}${stream}@example.com`);
  const owners = new Map<string, string>();
  const lastTraits = new Map<string, Sent['traits']>();
  const sent: Sent[] = [];
  let atMs = Date.UTC(2026, 1, 25, 14, 30) + stream * 1000;

  type Who = { userId?: string | undefined; email?: string | undefined };

  function drawPerson(): Who {
    const draw = random.next();
    if (draw < 0.5) return { userId: random.pick([a, a, b, c]) };
    if (draw < 0.8) return { email: random.pick([own, shared, lead]) };
    if (draw < 0.96 || stream > 0)
      return random.pick([
        { userId: a, email: own },
        { userId: b, email: shared },
        { userId: a, email: shared },
      ]);
    return { userId: ghost, email: `${ghost}@example.com` };
  }

  function draw(): Sent {
    const who = drawPerson();
    const consent =
      who.userId === ghost || random.chance(0.05) ? 'refused' : random.chance(0.75) ? 'granted' : 'silent';
    return make(who, random.pick(kinds), consent);
  }

  function make({ userId, email }: Who, kind: Sent['kind'], consent: Sent['consent']): Sent {
    const n = stream * 1000 + sent.length;
    atMs += 1 + random.below(random.chance(0.2) ? 3000 : 200);
    if (userId !== undefined && email !== undefined && !owners.has(email)) owners.set(email, userId);
    const traits = kind === 'identify' && consent !== 'refused' ? drawTraits(n, userId, email) : {};
    const groupId = kind === 'group' ? `company${random.below(3)}` : undefined;
    const hidden = consent === 'refused' ? { note: `${secret}${n}` } : {};
    const name = random.pick(names);
    const context = {
      ...(consent !== 'silent' && { consent: { functional: consent === 'granted' } }),
      ...(email !== undefined && { traits: { email } }),
    };
    const body = {
      type: kind,
      messageId: `m-${n}`,
      timestamp: new Date(atMs).toISOString(),
      ...(userId !== undefined && { userId }),
      context,
      ...(kind === 'track' && { event: consent === 'refused' ? `${secret}${n}` : name, properties: { n, ...hidden } }),
      ...(kind === 'page' && { properties: { n, url: `https://shop.example.com/${n}`, ...hidden } }),
      ...(kind === 'identify' && { traits: { ...traits, ...(email !== undefined && { email }), ...hidden } }),
      ...(kind === 'group' && { groupId, traits: { name: `Company ${groupId}`, ...hidden } }),
    };
    const made: Sent = { n, messageId: `m-${n}`, kind, userId, email, consent, traits, groupId, body };
    sent.push(made);
    return made;
  }

  /** What a lead has told of itself may be lost when Intercom merges it, so that only those who stay leads tell anything. */
  function drawTraits(n: number, userId: string | undefined, email: string | undefined): Sent['traits'] {
    const person = userId ?? owners.get(email ?? '') ?? email ?? '';
    if (userId === undefined && !owners.has(person) && person !== lead && !isUser(person)) return {};
    const last = lastTraits.get(person);
    if (last && random.chance(0.35)) return last;
    const traits = {
      ...(random.chance(0.6) && { name: `Name ${n}` }),
      ...(random.chance(0.6) && { plan: random.pick(['free', 'pro', 'team']) }),
      ...(random.chance(0.8) && { score: n }),
    };
    lastTraits.set(person, traits);
    return traits;
  }

  const posts: Post[] = [];
  while (sent.length < eventsEach) {
    const size = random.chance(0.5) ? 1 : 2 + random.below(7);
    const events = Array.from({ length: size }, () =>
      sent.length > 0 && random.chance(0.08) ? random.pick(sent) : draw(),
    );
    posts.push({ events, waits: random.chance(0.4) });
  }
  // A lead becomes its user with the user's next event that is sent; this one is.
  const last = [a, b].map((userId) => make({ userId }, 'track', 'granted'));
  return [...posts, { events: last, waits: false }];
}

const kinds: Sent['kind'][] = [
  ...Array<Sent['kind']>(5).fill('track'),
  ...Array<Sent['kind']>(2).fill('page'),
  ...Array<Sent['kind']>(3).fill('identify'),
  'group',
];

const isUser = (person: string): boolean => !person.includes('@');
