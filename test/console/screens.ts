import type { Page } from 'playwright-core';

/** Every screen in each of its shapes: for the pictures, and for the checks that hold on all of them. */
export type Screen = { name: string; hash: string; ready: string; prepare?: (page: Page) => Promise<void> };

export const screens: Screen[] = [
  { name: 'events', hash: '#/events', ready: '[data-event]' },
  {
    name: 'filters',
    hash: '#/events?status=delivered&type=track',
    ready: '[data-event]',
    prepare: press('More filters'),
  },
  { name: 'story', hash: '#/events?type=track&name=Order%20Completed', ready: '[data-event]', prepare: openFirst },
  { name: 'story-dead', hash: '#/events?status=dead', ready: '[data-event]', prepare: openFirst },
  { name: 'dead-letters', hash: '#/dead-letters', ready: '.group', prepare: answered },
  { name: 'redrive', hash: '#/dead-letters', ready: '.group', prepare: redrive },
  { name: 'try', hash: '#/try', ready: 'textarea', prepare: explain },
  { name: 'health', hash: '#/health', ready: '.health-part' },
  {
    name: 'integrations',
    hash: '#/integrations',
    ready: '.integration',
    prepare: (page) => page.locator('.vendor').waitFor(),
  },
  { name: 'install', hash: '#/integrations', ready: '.integration', prepare: press('Install another workspace') },
];

function press(name: string): (page: Page) => Promise<void> {
  return (page) => page.getByRole('button', { name }).first().click();
}

async function openFirst(page: Page): Promise<void> {
  await page.locator('[data-event]').first().click();
  await page.locator('.story-steps').waitFor();
}

async function answered(page: Page): Promise<void> {
  await page.getByText('Answer', { exact: true }).first().waitFor();
}

async function redrive(page: Page): Promise<void> {
  await press('Redrive…')(page);
  await page.getByRole('dialog', { name: /Redrive \d+ events/ }).waitFor();
}

async function explain(page: Page): Promise<void> {
  await press('Order Completed')(page);
  await press('Explain')(page);
  await page.locator('.call-card').first().waitFor();
}
