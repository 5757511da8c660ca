import { randomBytes } from 'node:crypto';

/** Unique per run, so that no messageId meets one of an earlier run. */
const runId = randomBytes(13).toString('hex').slice(0, 25);
let made = 0;

const context = {
  ip: '203.0.113.7',
  locale: 'en-GB',
  userAgent:
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15',
  page: {
    url: 'https://shop.example.com/shirts/blue',
    title: 'Blue Shirt',
    path: '/shirts/blue',
    referrer: 'https://www.example.com/',
  },
  consent: { canonical: { essential: true, functional: true, marketing: true } },
};
const product = {
  product_id: 'sku-42',
  name: 'Blue Shirt',
  category: 'Shirts',
  brand: 'Example',
  price: 79.99,
  currency: 'USD',
  quantity: 1,
};

/** 36 characters, as a UUID has. */
export function nextMessageId(): string {
  made += 1;
  return `${runId}-${String(made).padStart(10, '0')}`;
}

/**
 * Track events of about 700 bytes, one text per call. Only ids and the time differ, and in nothing but their digits:
 * a text is put together from pieces and never serialised, which would cost more than sending it.
 */
export function trackEvents({ users }: { users: number }): () => string {
  const gap = '\u0001';
  const template = JSON.stringify({
    type: 'track',
    event: 'Product Viewed',
    messageId: gap,
    userId: gap,
    anonymousId: 'anon_a1b2c3d4e5f6',
    timestamp: gap,
    properties: product,
    context,
  });
  const [beforeId = '', beforeUser = '', beforeTime = '', end = ''] = template.split(JSON.stringify(gap));
  let user = 0;
  return () => {
    // A step that has no factor in common with the number of users visits all of them, in no order.
    user = users === Infinity ? user + 1 : (user + 7919) % users;
    return `${beforeId}"${nextMessageId()}"${beforeUser}"user-${String(user).padStart(8, '0')}"${beforeTime}"${new Date().toISOString()}"${end}`;
  };
}

export function inBatches(next: () => string, size: number): () => string {
  return () => {
    let list = next();
    for (let n = 1; n < size; n += 1) list += `,${next()}`;
    return `{"batch":[${list}]}`;
  };
}

/**
 * A backlog that costs one call per event: an identify of every user, then track events a second apart. Every event
 * once, in this order.
 */
export function backlogEvents({ users }: { users: number }): () => string {
  const startMs = Date.now() - 86_400_000;
  let index = -1;
  return () => {
    index += 1;
    const userId = `user-${String(index % users).padStart(8, '0')}`;
    const nth = Math.floor(index / users);
    const timestamp = new Date(startMs + nth * 1000).toISOString();
    const common = { messageId: nextMessageId(), userId, timestamp, context };
    return JSON.stringify(
      nth === 0
        ? { type: 'identify', ...common, traits: { email: `${userId}@example.com`, name: `User ${index}` } }
        : { type: 'track', event: 'Product Viewed', ...common, properties: product },
    );
  };
}
