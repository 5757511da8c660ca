import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import type { Test } from 'tap';
import type { View } from './browser.ts';
import { screens } from './screens.ts';
import { enter, playShop } from './shop.ts';
import { adminToken, openConsole, openPage } from './stage.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

type Violation = { id: string; help: string; nodes: { target: string[]; failureSummary: string }[] };

/** WCAG 2.2 A and AA, and what axe's authors hold for good practice. */
async function check(page: Page): Promise<string[]> {
  if (!(await page.evaluate<boolean>('"axe" in window'))) await page.evaluate(axe);
  const { violations } = await page.evaluate<{ violations: Violation[] }>(
    'axe.run(document, { resultTypes: ["violations"] })',
  );
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id}: ${help} ${node.target.join(' ')} ${node.failureSummary}`),
  );
}

const themes = ['light', 'dark'] as const;

/** Every screen in both themes as axe sees it, and whether it fits the page's width. */
export async function checkEveryScreen(t: Test, view: Omit<View, 'theme'>): Promise<void> {
  const { service } = await openConsole(t);
  await playShop(service.url, service.simulator);
  const { page } = await openPage(t, view);
  await page.goto(service.url);
  await page.getByLabel('Admin token').waitFor();
  await checkBoth('sign-in');
  await enter(page, service.url, adminToken);
  for (const { name, hash, ready, prepare } of screens) {
    await page.goto('about:blank');
    await page.goto(`${service.url}/${hash}`);
    await page.locator(ready).first().waitFor();
    await prepare?.(page);
    await checkBoth(name);
    const overflow = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
    t.equal(overflow, 0, `${name} does not scroll sideways`);
  }

  async function checkBoth(name: string): Promise<void> {
    for (const colorScheme of themes) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.locator(`html[data-theme=${colorScheme}]`).waitFor({ state: 'attached' });
      t.same(await check(page), [], `${name}, ${colorScheme}`);
    }
  }
}
