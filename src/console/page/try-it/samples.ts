const page = {
  url: 'https://shop.example.com/shirts/blue',
  title: 'Blue Shirt',
  path: '/shirts/blue',
  referrer: 'https://www.example.com/',
};
const granted = { consent: { canonical: { essential: true, functional: true, marketing: false } } };

/** Events as Signal sends them, to begin with. */
export const samples: { name: string; event: Record<string, unknown> }[] = [
  {
    name: 'Identify',
    event: {
      type: 'identify',
      userId: 'user-123',
      traits: { email: 'jane@example.com', firstName: 'Jane', lastName: 'Doe', phone: '+1 415 555 2671', plan: 'pro' },
      context: granted,
    },
  },
  {
    name: 'Page',
    event: { type: 'page', userId: 'user-123', name: 'Product Detail', properties: page, context: granted },
  },
  {
    name: 'Product Viewed',
    event: {
      type: 'track',
      event: 'Product Viewed',
      userId: 'user-123',
      properties: { product_id: 'sku-42', name: 'Blue Shirt', category: 'Shirts', price: 79.99, currency: 'USD' },
      context: granted,
    },
  },
  {
    name: 'Order Completed',
    event: {
      type: 'track',
      event: 'Order Completed',
      userId: 'user-123',
      properties: {
        order_id: 'ORD-1001',
        total: 129.99,
        currency: 'USD',
        coupon: 'SPRING',
        products: [
          { product_id: 'sku-42', name: 'Blue Shirt', price: 79.99, quantity: 1 },
          { product_id: 'sku-7', name: 'Cap', price: 25, quantity: 2 },
        ],
      },
      context: granted,
    },
  },
  {
    name: 'Group',
    event: {
      type: 'group',
      userId: 'user-123',
      groupId: 'acme',
      traits: { name: 'Acme', plan: 'enterprise', employees: 240 },
      context: granted,
    },
  },
  {
    name: 'Without consent',
    event: {
      type: 'track',
      event: 'Product Viewed',
      userId: 'user-123',
      properties: { product_id: 'sku-42' },
      context: { consent: { canonical: { essential: true, functional: false } } },
    },
  },
];
