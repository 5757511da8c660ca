import t from 'tap';
import { checkEveryScreen } from './axe.ts';

t.test('every screen fits a phone, and is usable without eyes or mouse, light and dark', (t) =>
  checkEveryScreen(t, { width: 390, height: 844 }),
);
