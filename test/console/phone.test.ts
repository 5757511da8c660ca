import t from 'tap';
import { checkEveryScreen } from './axe.ts';

for (const theme of ['light', 'dark'] as const)
  t.test(`every screen fits a phone, and is usable without eyes or mouse, ${theme}`, (t) =>
    checkEveryScreen(t, { theme, width: 390, height: 844 }),
  );
