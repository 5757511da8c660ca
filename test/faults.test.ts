import t from 'tap';
import { judgeSeeds } from './faults/seeds.ts';

t.test('under drawn mixes of faults every promise is kept', (t) => judgeSeeds(t, 50));
