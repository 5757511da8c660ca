import t from 'tap';
import { retryDelayMs } from '../src/dispatch/retry.ts';

t.test('the limit doubles from 1 s to 300 s, and the delay is anything up to it', async (t) => {
  const limits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300];
  for (const [index, seconds] of limits.entries()) {
    const attempt = index + 1;
    t.equal(retryDelayMs(attempt, 1), seconds * 1000, `after attempt ${attempt}`);
    t.equal(retryDelayMs(attempt, 0.25), seconds * 250);
    t.equal(retryDelayMs(attempt, 0), 0);
  }
  t.equal(retryDelayMs(5000, 1), 300_000, 'whatever the number of attempts');
});

t.test('it comes on top of what the server asked for, which is believed up to an hour', async (t) => {
  t.equal(retryDelayMs(2, 0.5, 10_000), 11_000);
  t.equal(retryDelayMs(1, 0, 3_600_000), 3_600_000);
  t.equal(retryDelayMs(1, 1, 3_600_001), 3_601_000);
  t.equal(retryDelayMs(1, 1, -5000), 1000, 'a time in the past is none');
});
