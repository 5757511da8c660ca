import t from 'tap';
import { checkEveryScreen } from './axe.ts';
import { openConsole } from './stage.ts';

t.test('every screen is usable without eyes or mouse, light and dark', (t) =>
  checkEveryScreen(t, { width: 1440, height: 900 }),
);

t.test('the switch for the colours goes round, and is remembered', async (t) => {
  const { page } = await openConsole(t, { view: { theme: 'dark' } });
  const theme = () => page.evaluate('document.documentElement.dataset.theme');
  t.equal(await theme(), 'dark', 'as the system');
  await page.getByRole('button', { name: 'Colours: as the system' }).click();
  t.equal(await theme(), 'light');
  await page.reload();
  await page.getByRole('button', { name: 'Colours: light' }).click();
  t.equal(await theme(), 'dark');
});
