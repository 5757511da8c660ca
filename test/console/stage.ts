import type { Page } from 'playwright-core';
import t, { type Test } from 'tap';
import { type Service, type ServiceOptions, startService } from '../service.ts';
import { openBrowser, openTab, type View } from './browser.ts';
import { enter } from './shop.ts';

export const adminToken = 'an-admin-token-of-some-length';

let browser: ReturnType<typeof openBrowser> | undefined;

export type Stage = { service: Service; page: Page; complaints: string[] };

/** A service, and its console in a browser; signed in, unless told otherwise. What the page complains of fails the test. */
export async function openConsole(
  t: Test,
  options: ServiceOptions & { hash?: string; view?: Partial<View> } = {},
): Promise<Stage> {
  const service = await startService(t, { ...options, env: { ADMIN_TOKEN: adminToken, ...options.env } });
  const { page, complaints } = await openPage(t, options.view);
  await enter(page, service.url, adminToken, options.hash);
  return { service, page, complaints };
}

/** One browser for all tests of a file. */
export async function openPage(t: Test, view: Partial<View> = {}): Promise<{ page: Page; complaints: string[] }> {
  browser ??= openBrowser();
  const { page, context, complaints } = await openTab(await browser, view);
  t.teardown(async () => {
    await context.close();
    if (complaints.length > 0) throw new Error(`the page complained: ${complaints.join('\n')}`);
  });
  return { page, complaints };
}

t.teardown(async () => (await browser)?.close());
