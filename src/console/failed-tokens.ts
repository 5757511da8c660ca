import { isIPv6 } from 'node:net';
import { LRUCache } from 'lru-cache';

/**
 * Wrong admin tokens by address. Who guesses is told to slow down; the right token is let in at any time, so that
 * nobody can shut the operator out by guessing from the same address (docs/decisions/0015-the-admin-side.md).
 */
export type FailedTokens = {
  /** Counts one; the seconds to wait, once there were too many. */
  count(address: string): number | null;
};

const perMinute = 10;
const minuteMs = 60_000;
/** What strangers can make us remember; the longest unheard ones are forgotten. */
const mostAddresses = 10_000;

export function createFailedTokens(now: () => number = Date.now): FailedTokens {
  const windows = new LRUCache<string, { endsAtMs: number; failures: number }>({ max: mostAddresses });
  return {
    count(address) {
      const key = networkOf(address);
      let window = windows.get(key);
      if (window === undefined || window.endsAtMs <= now()) {
        window = { endsAtMs: now() + minuteMs, failures: 0 };
        windows.set(key, window);
      }
      window.failures += 1;
      return window.failures > perMinute ? Math.ceil((window.endsAtMs - now()) / 1000) : null;
    },
  };
}

/** Whoever has one IPv6 address has a network of them: 64 bits are theirs to choose. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - front.length - back.length);
  return [...front, ...Array<string>(zeros).fill('0'), ...back].slice(0, 4).join(':');
}
