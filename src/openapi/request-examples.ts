/** Bodies that Signal sends to /ingest; a test sends each of them to the service. */

const shop = {
  url: 'https://shop.example.com/shirts/blue',
  path: '/shirts/blue',
  title: 'Blue Shirt',
  referrer: 'https://www.example.com/',
};
const granted = { canonical: { essential: true, functional: true, marketing: false } };

const identify = {
  type: 'identify',
  userId: 'user-123',
  anonymousId: 'anon_a1b2c3d4',
  traits: {
    email: 'jane@example.com',
    firstName: 'Jane',
    lastName: 'Doe',
    phone: '+1 415 555 2671',
    plan: 'pro',
    createdAt: '2026-01-15T09:00:00.000Z',
  },
  context: { consent: granted },
  timestamp: '2026-02-25T14:30:00.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e01',
};

const page = {
  type: 'page',
  name: 'Product Detail',
  userId: 'user-123',
  properties: shop,
  context: { page: shop, consent: granted },
  timestamp: '2026-02-25T14:30:05.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e02',
};

const productViewed = {
  type: 'track',
  event: 'Product Viewed',
  userId: 'user-123',
  properties: { product_id: 'sku-42', name: 'Blue Shirt', category: 'Shirts', price: 79.99, currency: 'USD' },
  context: { page: shop, consent: granted },
  timestamp: '2026-02-25T14:30:09.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e03',
};

const orderCompleted = {
  type: 'track',
  event: 'Order Completed',
  userId: 'user-123',
  properties: {
    order_id: 'ORD-1001',
    total: 129.99,
    currency: 'USD',
    products: [
      { product_id: 'sku-42', name: 'Blue Shirt', price: 79.99, quantity: 1 },
      { product_id: 'sku-7', name: 'Cap', price: 25, quantity: 2 },
    ],
  },
  context: { consent: granted },
  timestamp: '2026-02-25T14:32:41.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e04',
};

const group = {
  type: 'group',
  userId: 'user-123',
  groupId: 'acme',
  traits: { name: 'Acme Inc.', plan: 'team', industry: 'Retail', employees: 120 },
  context: { consent: granted },
  timestamp: '2026-02-25T14:33:00.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e05',
};

const screen = {
  type: 'screen',
  name: 'Cart',
  userId: 'user-123',
  properties: { items: 3 },
  context: { library: { name: '@datafly/ios' }, consent: granted },
  timestamp: '2026-02-25T14:34:00.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e06',
};

/** What came by a pixel is text throughout, numbers and times included; here with the keys in snake_case. */
const pixel = {
  type: 'track',
  event: 'Order Completed',
  user_id: 'user-123',
  anonymous_id: 'anon_a1b2c3d4',
  properties: { order_id: 'ORD-1002', total: '19.99', currency: 'USD' },
  timestamp: '1772030100000',
  message_id: 'a1b2c3d4',
};

const signUp = {
  type: 'track',
  event: 'Signed Up',
  userId: 'user-456',
  timestamp: '2026-02-25T14:36:00.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e07',
};
const nextPage = {
  type: 'page',
  name: 'Pricing',
  userId: 'user-456',
  properties: { url: 'https://shop.example.com/pricing' },
  timestamp: '2026-02-25T14:36:10.000Z',
  messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e08',
};

export const requestExamples = {
  identify: { summary: 'identify: creates or updates the contact', value: identify },
  page: { summary: 'page: page_viewed on the timeline', value: page },
  productViewed: { summary: 'track: Product Viewed', value: productViewed },
  orderCompleted: { summary: 'track: Order Completed, with its amount', value: orderCompleted },
  group: { summary: 'group: the company, and who belongs to it', value: group },
  screen: { summary: 'screen: the page of an app', value: screen },
  batch: { summary: 'several events', value: { batch: [signUp, nextPage] } },
  pixel: { summary: 'an event of a pixel: all values are texts', value: pixel },
};
