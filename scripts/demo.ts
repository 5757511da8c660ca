// `npm run demo`: the service and a simulated Intercom, Signal's sample events, and what became of them, for a person
// to read. With --once it ends by itself: exit code 0 only if everything arrived as it should.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSimulator } from '../src/simulator/simulator.ts';

type Answer = {
  events: {
    status: string;
    reason?: string;
    intercom?: { status: number | null; calls: number };
    error?: { message: string };
  }[];
};
type Sample = { title: string; event: Record<string, unknown>; expect: string };

const isOnce = process.argv.includes('--once');
const token = 'demo-token';
const adminToken = 'demo-admin-token';
const shop = {
  page: {
    url: 'https://shop.example.com/shirts/blue',
    title: 'Blue Shirt',
    path: '/shirts/blue',
    referrer: 'https://www.example.com/',
  },
};
const granted = {
  consent: {
    categories: { necessary: true, preferences: true },
    canonical: { essential: true, functional: true, marketing: false },
  },
};

const samples: Sample[] = [
  {
    title: 'identify user-123, jane@example.com',
    event: {
      type: 'identify',
      userId: 'user-123',
      anonymousId: 'anon_a1b2c3d4',
      messageId: 'demo-identify',
      traits: { email: 'jane@example.com', firstName: 'Jane', lastName: 'Doe', phone: '+1 415 555 2671', plan: 'pro' },
      context: granted,
    },
    expect: 'delivered',
  },
  {
    title: 'page Blue Shirt',
    event: {
      type: 'page',
      userId: 'user-123',
      messageId: 'demo-page',
      name: 'Product Detail',
      properties: { ...shop.page },
      context: { ...granted, ...shop },
    },
    expect: 'delivered',
  },
  {
    title: 'track Product Viewed',
    event: {
      type: 'track',
      event: 'Product Viewed',
      userId: 'user-123',
      messageId: 'demo-viewed',
      properties: { product_id: 'sku-42', name: 'Blue Shirt', category: 'Shirts', price: 79.99, currency: 'USD' },
      context: granted,
    },
    expect: 'delivered',
  },
  {
    title: 'track Order Completed, 129.99 USD',
    event: {
      type: 'track',
      event: 'Order Completed',
      userId: 'user-123',
      messageId: 'demo-order',
      properties: {
        order_id: 'ORD-1001',
        total: 129.99,
        currency: 'USD',
        products: [
          { product_id: 'sku-42', name: 'Blue Shirt', price: 79.99, quantity: 1 },
          { product_id: 'sku-7', name: 'Cap', price: 25, quantity: 2 },
        ],
      },
      context: granted,
    },
    expect: 'delivered',
  },
  {
    title: 'track without functional consent',
    // Of somebody else: user-123 would have revoked it for the event that is offered in the end, too.
    event: {
      type: 'track',
      event: 'Product Viewed',
      userId: 'user-456',
      messageId: 'demo-no-consent',
      context: { consent: { canonical: { essential: true, functional: false } } },
    },
    expect: 'filtered',
  },
  {
    title: 'track without an identifier',
    event: { type: 'track', event: 'Product Viewed', messageId: 'demo-nobody', properties: { product_id: 'sku-42' } },
    expect: 'rejected',
  },
];

const simulator = await startSimulator({
  tokens: [token],
  attributes: [{ model: 'contact', name: 'plan', data_type: 'string' }],
});
const folder = await mkdtemp(join(tmpdir(), 'signal-intercom-demo-'));
const port = await freePort(8080);
const url = `http://127.0.0.1:${port}`;
const service = spawn(process.execPath, ['dist/server.js'], {
  env: {
    PATH: process.env.PATH,
    INTERCOM_ACCESS_TOKEN: token,
    INTERCOM_REGION: 'us',
    INTERCOM_API_URL: simulator.url,
    DATABASE_URL: `file:${join(folder, 'demo.db')}`,
    ADMIN_TOKEN: adminToken,
    PORT: String(port),
    LOG_LEVEL: 'error',
    INGEST_WAIT_MS: '5000',
  },
  stdio: ['ignore', 'inherit', 'inherit'],
});
const exited = once(service, 'exit');

let failures = 0;
try {
  await ready();
  print(`The service listens at ${url}, a simulated Intercom at ${simulator.url}.`);
  print('\nSent to POST /ingest:\n');
  for (const sample of samples) await send(sample);
  showIntercom();
  check();
} catch (error) {
  failures += 1;
  print(`\nThe demo stopped: ${error instanceof Error ? error.message : String(error)}`);
}

if (isOnce || failures > 0) {
  await end();
} else {
  print(`
Both stay up. See it all in the console: open ${url} in a browser, admin token ${adminToken}

Try another event:

  curl -i ${url}/ingest -H 'content-type: application/json' -d '{
    "type": "track", "event": "Trial Started", "userId": "user-123",
    "properties": { "plan_name": "Team", "trial_length_days": 14 } }'

and see what Intercom has:

  curl ${simulator.url}/_simulator/timeline/user-123

Ctrl+C ends the demo and removes its data.`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), exited]);
  await end();
}

async function send({ title, event, expect }: Sample): Promise<void> {
  const response = await fetch(`${url}/ingest`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(event),
  });
  const answer = (await response.json()) as Answer;
  const outcome = answer.events[0];
  const more =
    outcome?.error?.message ??
    outcome?.reason ??
    (outcome?.intercom ? `Intercom answered ${outcome.intercom.status}, calls ${outcome.intercom.calls}` : '');
  const isRight = outcome?.status === expect;
  if (!isRight) failures += 1;
  print(
    `  ${isRight ? '✓' : '✗'} ${title.padEnd(38)} ${response.status}  ${(outcome?.status ?? '?').padEnd(10)} ${more}`,
  );
}

function showIntercom(): void {
  print('\nWhat Intercom has now:\n');
  for (const contact of simulator.contacts()) {
    print(
      `  ${contact.role} ${contact.external_id}: ${contact.name ?? ''} <${contact.email ?? ''}> ${contact.phone ?? ''} ${JSON.stringify(contact.custom_attributes)}`,
    );
    for (const event of simulator.timeline(contact.id)) {
      print(
        `    ${new Date(event.createdAt * 1000).toISOString().slice(0, 19)}Z  ${event.eventName.padEnd(16)} ${JSON.stringify(event.metadata)}`,
      );
    }
  }
  const spent = simulator.calls.filter(({ method }) => method !== 'GET');
  print(
    `\n  ${spent.length} calls for ${samples.filter(({ expect }) => expect === 'delivered').length} events: ${spent.map(({ endpoint }) => endpoint).join(', ')}`,
  );
}

/** The summary may not claim what the record of the simulator doesn't show. */
function check(): void {
  const names = simulator.timeline('user-123').map(({ eventName }) => eventName);
  const contact = simulator.contact('user-123');
  const isRight =
    contact?.email === 'jane@example.com' && names.join() === 'page_viewed,Product Viewed,Order Completed';
  if (!isRight) failures += 1;
  print(
    isRight ? '\nEverything arrived, in order, once.' : `\nThis is not what should have arrived: ${names.join(', ')}`,
  );
}

async function ready(): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (service.exitCode !== null) throw new Error(`the service ended with exit code ${service.exitCode}`);
    const response = await fetch(`${url}/readyz`).catch(() => undefined);
    if (response?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the service did not become ready within 5 seconds');
}

async function end(): Promise<void> {
  service.kill('SIGTERM');
  await exited;
  await simulator.close();
  await rm(folder, { recursive: true, force: true });
  process.exitCode = failures === 0 ? 0 : 1;
}

/** The wanted port, or any other where it is taken. */
async function freePort(wanted: number): Promise<number> {
  for (const candidate of [wanted, 0]) {
    const probe = createServer();
    const bound = await new Promise<number | undefined>((resolve) => {
      probe.once('error', () => resolve(undefined));
      probe.listen(candidate, '127.0.0.1', () => {
        const address = probe.address();
        resolve(typeof address === 'object' && address ? address.port : undefined);
      });
    });
    if (bound === undefined) continue;
    probe.close();
    await once(probe, 'close');
    return bound;
  }
  throw new Error('no free port');
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
