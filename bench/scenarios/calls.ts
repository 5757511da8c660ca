import { request } from 'undici';
import type { Bench } from '../bench.ts';
import { nextMessageId } from '../events.ts';
import { startService } from '../service.ts';
import { type IntercomSimulator, startSimulator } from '../simulator.ts';

const users = 100;
const steps = ['identify', 'page', 'page', 'change', 'track', 'page', 'repeat', 'page', 'track', 'repeat'] as const;
type Step = (typeof steps)[number];
const stored = users * steps.filter((step) => step === 'page' || step === 'track').length;

/**
 * The reference workload: 100 users, each with a first identify, a changed one, two that repeat it, four pages and two
 * tracks, one event at a time in rising time. The fewest calls that lose nothing are 800.
 */
export async function calls(bench: Bench): Promise<void> {
  const { report } = bench;
  report.title('calls', `Intercom calls per event: ${users} users × (4 identify, 4 page, 2 track)`);
  for (const indexLagMs of [0, 120_000]) {
    const spent = await oneByOne(bench, indexLagMs);
    const suffix = `search index ${indexLagMs / 1000} s behind`;
    const events = users * steps.length;
    report.figure({ name: suffix, unit: 'calls/event', values: [spent.forEvents / events], target: { atMost: 0.8 } });
    report.figure({ name: '  with those of the start', unit: 'calls/event', values: [spent.all / events] });
  }
}

async function oneByOne({ stage, report }: Bench, indexLagMs: number): Promise<{ all: number; forEvents: number }> {
  const simulator = await startSimulator(stage, { indexLagMs });
  await simulator.addContactAttribute('plan');
  const first = await simulator.count();
  const service = await startService(stage, { simulator });
  const started = await simulator.count();
  const startMs = Date.now() - users * steps.length * 1000;
  for (const [nth, step] of steps.entries()) {
    for (let user = 0; user < users; user += 1) {
      await send(service.url, event(step, user, startMs + (nth * users + user) * 1000));
    }
  }
  await verify(simulator);
  const last = await simulator.count();
  report.note(`${stored} events and ${users} contacts arrived with their final values, none twice`);
  await stage.clear();
  return { all: last - first, forEvents: last - started };
}

async function send(url: string, body: unknown): Promise<void> {
  const headers = { 'content-type': 'application/json', prefer: 'wait=20' };
  const answer = await request(`${url}/ingest`, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`200 was expected: ${answer.statusCode} ${text}`);
}

function event(step: Step, user: number, atMs: number): Record<string, unknown> {
  const page = { url: 'https://shop.example.com/shirts/blue', title: 'Blue Shirt', path: '/shirts/blue' };
  const common = { messageId: nextMessageId(), userId: `user-${user}`, timestamp: new Date(atMs).toISOString() };
  switch (step) {
    case 'identify':
      return { type: 'identify', ...common, traits: traits(user, 'free', 2000) };
    case 'change':
    case 'repeat':
      return { type: 'identify', ...common, traits: traits(user, 'pro', 3000) };
    case 'page':
      return { type: 'page', ...common, name: 'Product Detail', properties: page };
    case 'track':
      return {
        type: 'track',
        ...common,
        event: 'Product Viewed',
        properties: { product_id: 'sku-42', name: 'Blue Shirt', price: 79.99, currency: 'USD' },
      };
    default:
      return step satisfies never;
  }
}

function traits(user: number, plan: string, number: number): Record<string, string> {
  return { email: `user-${user}@example.com`, name: `User ${user}`, phone: `+1415555${number + user}`, plan };
}

/** What counts is what Intercom holds in the end. */
async function verify(simulator: IntercomSimulator): Promise<void> {
  const { eventsStored, duplicatesIgnored } = await simulator.summary();
  if (eventsStored !== stored || duplicatesIgnored !== 0)
    throw new Error(
      `${stored} events were expected: ${eventsStored} are stored, ${duplicatesIgnored} were ignored as duplicates`,
    );
  const contacts = await simulator.contacts();
  const seen = contacts.map(({ external_id, email, name, phone, custom_attributes }) =>
    JSON.stringify([external_id, email, name, phone, custom_attributes.plan]),
  );
  const wanted = Array.from({ length: users }, (_, user) => {
    const { email, name, phone, plan } = traits(user, 'pro', 3000);
    return JSON.stringify([`user-${user}`, email, name, phone, plan]);
  });
  const missing = wanted.filter((one) => !seen.includes(one));
  if (seen.length !== users || missing.length > 0)
    throw new Error(
      `${users} contacts were expected: there are ${seen.length}, and ${missing.length} lack their final values, as ${missing[0]} (not ${seen[0]})`,
    );
}
