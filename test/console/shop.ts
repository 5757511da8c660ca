import type { Page } from 'playwright-core';
import { request } from 'undici';
import type { Simulator } from '../../src/simulator/simulator.ts';

/** Past the sign-in, on the given screen. */
export async function enter(page: Page, url: string, token: string, hash = '#/events'): Promise<void> {
  await page.goto(`${url}/${hash}`);
  await page.getByLabel('Admin token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation').waitFor();
}

/** Some of what a shop sends: enough of each kind that every screen has something to show. */
export async function playShop(url: string, simulator: Simulator): Promise<void> {
  const people = ['ada', 'grace', 'linus', 'margaret', 'dennis', 'barbara', 'ken', 'radia'];
  const products = [
    { product_id: 'sku-42', name: 'Blue Shirt', price: 79.99 },
    { product_id: 'sku-7', name: 'Cap', price: 25 },
    { product_id: 'sku-11', name: 'Trail Shoes', price: 129.5 },
  ];
  const consent = { canonical: { essential: true, functional: true, marketing: false } };
  const post = async (event: object) => {
    const { body } = await request(`${url}/ingest`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=60' },
      body: JSON.stringify({ timestamp: new Date().toISOString(), context: { consent }, ...event }),
    });
    await body.dump();
  };
  const refuse = (code: string, message: string, times: number) =>
    simulator.inject({
      kind: 'status',
      status: 422,
      endpoint: 'POST /events',
      body: { type: 'error.list', errors: [{ code, message }] },
      times,
    });

  for (const [index, name] of people.entries()) {
    const userId = `user-${4100 + index * 17}`;
    const product = products[index % products.length]!;
    const path = `/${product.product_id}`;
    const traits = { email: `${name}@example.com`, firstName: name, plan: index % 2 ? 'pro' : 'free' };
    const total = product.price * 2;
    const order = {
      order_id: `ORD-${1001 + index}`,
      total,
      currency: 'USD',
      coupon: 'SPRING',
      products: [{ ...product, quantity: 2 }],
    };
    await post({ type: 'identify', userId, traits });
    await post({
      type: 'page',
      userId,
      name: 'Product Detail',
      properties: { url: `https://shop.example.com${path}`, title: product.name, path },
    });
    await post({
      type: 'track',
      event: 'Product Viewed',
      userId,
      properties: { ...product, currency: 'USD', category: 'Shirts' },
    });
    if (index % 3 === 1)
      await post({
        type: 'track',
        event: 'Cart Viewed',
        userId,
        context: { consent: { canonical: { functional: false } } },
      });
    if (index % 2 === 0) await post({ type: 'track', event: 'Order Completed', userId, properties: order });
    await post({ type: 'identify', userId, traits });
  }
  refuse('data_invalid', 'metadata.price must be a number', 4);
  for (const sku of ['sku-1', 'sku-2', 'sku-3', 'sku-4'])
    await post({ type: 'track', event: 'Price Alert Set', userId: 'user-4100', properties: { product_id: sku } });
  refuse('422', 'Cannot have more than 120 active event names', 2);
  for (const event of ['Wishlist Shared', 'Gift Wrapped']) await post({ type: 'track', event, userId: 'user-4117' });
  await post({
    type: 'group',
    userId: 'user-4100',
    groupId: 'acme',
    traits: { name: 'Acme', plan: 'enterprise', employees: 240 },
  });
}
