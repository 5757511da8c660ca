// `npm run screenshots [part of a name]`: every screen of the console, light and dark, wide and narrow, into
// docs/screenshots. Runs the service with a simulated Intercom.
import { mkdirSync, mkdtempSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { startSimulator } from '../src/simulator/simulator.ts';
import { openBrowser, openTab } from '../test/console/browser.ts';
import { type Screen, screens } from '../test/console/screens.ts';
import { enter, playShop } from '../test/console/shop.ts';

const folder = 'docs/screenshots';
const largestBytes = 200_000;
const adminToken = 'an-admin-token-for-pictures';
const only = process.argv[2] ?? '';

const signIn: Screen = { name: 'sign-in', hash: '', ready: 'text=Admin token' };

const simulator = await startSimulator({
  tokens: ['demo-token'],
  attributes: [{ model: 'contact', name: 'plan', data_type: 'string' }],
});
const data = mkdtempSync(join(tmpdir(), 'signal-intercom-pictures-'));
const config = readConfig({
  INTERCOM_ACCESS_TOKEN: 'demo-token',
  INTERCOM_REGION: 'us',
  INTERCOM_API_URL: simulator.url,
  DATABASE_URL: `file:${join(data, 'queue.db')}`,
  ADMIN_TOKEN: adminToken,
});
const app = await buildApp(config, pino({ level: 'silent' }));
const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
const browser = await openBrowser();
mkdirSync(folder, { recursive: true });
const themes = ['light', 'dark'] as const;
const sizes = [
  { width: 1440, height: 900, suffix: '' },
  { width: 390, height: 844, suffix: '-phone' },
];
try {
  await takeAll([{ name: 'first-steps', hash: '#/events', ready: '.first-steps' }]);
  await playShop(url, simulator);
  await takeAll([signIn, ...screens]);
  simulator.setTokens([]);
  await fetch(`${url}/ingest`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'respond-async' },
    body: JSON.stringify({ type: 'track', event: 'Product Viewed', userId: 'user-4100' }),
  });
  await takeAll([{ name: 'hold', hash: '#/events', ready: '.main > .notice' }]);
} finally {
  await browser.close();
  await app.stop(1000);
  await simulator.close();
  await rm(data, { recursive: true, force: true });
}

async function takeAll(shots: Screen[]): Promise<void> {
  for (const shot of shots) {
    for (const theme of themes) {
      for (const { width, height, suffix } of sizes) {
        const name = `${shot.name}-${theme}${suffix}`;
        if (name.includes(only)) await take(shot, name, { width, height, theme });
      }
    }
  }
}

async function take(
  shot: Screen,
  name: string,
  view: { width: number; height: number; theme: 'light' | 'dark' },
): Promise<void> {
  const { page, context, complaints } = await openTab(browser, view);
  await page.route('**/v1/admin/overview', async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: withPast(await response.json()) });
  });
  if (shot.hash === '') await page.goto(url);
  else await enter(page, url, adminToken, shot.hash);
  await page.locator(shot.ready).first().waitFor();
  await shot.prepare?.(page);
  await page.waitForTimeout(500);
  const file = join(folder, `${name}.png`);
  await page.screenshot({ path: file });
  await context.close();
  const { size } = statSync(file);
  process.stdout.write(`${file} ${Math.round(size / 1000)} kB\n`);
  if (complaints.length > 0 || size > largestBytes) throw new Error(`${name}: ${size} bytes, ${complaints.join('; ')}`);
}

/** The service has run for seconds: the hour before is made up, so that the charts have something to show. */
function withPast(overview: { ledger: Record<string, number>; minutes: Record<string, number | string>[] }): unknown {
  if (overview.ledger.accepted === 0) return overview;
  const minutes: Record<string, number | string>[] = overview.minutes.map((minute, index) => {
    if (index >= 58) return minute;
    const delivered = Math.round(34 + 16 * Math.sin(index / 7) + 9 * Math.sin(index * 1.9));
    const filtered = Math.round(delivered / 14);
    const dead = index % 17 === 5 ? 2 : 0;
    return {
      ...minute,
      delivered,
      filtered,
      dead,
      accepted: delivered + filtered + dead,
      calls: Math.round(delivered * 0.8),
      retried: index > 30 && index < 34 ? 6 : 0,
    };
  });
  const before = (key: string): number => minutes.slice(0, 58).reduce((sum, minute) => sum + Number(minute[key]), 0);
  const ledger = Object.entries(overview.ledger).map(([key, value]) => [
    key,
    value + (key === 'queued' ? 0 : before(key)),
  ]);
  return { ...overview, minutes, ledger: Object.fromEntries(ledger) };
}
