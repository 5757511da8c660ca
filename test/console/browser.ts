import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';

/** The machine's Chromium: CHROMIUM_PATH, or one of the PATH. Nothing is downloaded, and nothing skipped. */
export async function openBrowser(): Promise<Browser> {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const places = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
  const executablePath = process.env.CHROMIUM_PATH ?? places.find((file) => existsSync(file));
  if (executablePath === undefined)
    throw new Error(
      'The console is tested in Chromium, and there is none: apt-get install -y chromium, or set CHROMIUM_PATH.',
    );
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

export type View = { width: number; height: number; theme: 'light' | 'dark' };

/** A tab of its own. What the page says to its console, and what its policy forbids, is collected. */
export async function openTab(
  browser: Browser,
  view: Partial<View> = {},
): Promise<{ page: Page; context: BrowserContext; complaints: string[] }> {
  const context = await browser.newContext({
    viewport: { width: view.width ?? 1440, height: view.height ?? 900 },
    colorScheme: view.theme ?? 'light',
    reducedMotion: 'reduce',
    locale: 'en-GB',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    // An answer with a 4xx is told as an error too; the page shows those itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(message.text());
  });
  return { page, context, complaints };
}
