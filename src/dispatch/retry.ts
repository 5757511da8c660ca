/**
 * How long a job waits after a failed attempt: a random time up to a limit that doubles ("full jitter"), added to
 * what the server asked for, so that a recovered Intercom is not met by everybody at once.
 *
 * | after attempt | 1 | 2 | 3 | 4 | 5  | 6  | 7  | 8   | 9   | 10 and later |
 * |---------------|---|---|---|---|----|----|----|-----|-----|--------------|
 * | at most, s    | 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 256 | 300          |
 */
export function retryDelayMs(attempt: number, random: number, serverAskedMs = 0): number {
  const limitMs = Math.min(capMs, baseMs * 2 ** (attempt - 1));
  return Math.min(Math.max(0, serverAskedMs), longestAskedMs) + random * limitMs;
}

const baseMs = 1000;
const capMs = 300_000;
/** A server that asks for more than this is mistaken. */
const longestAskedMs = 3_600_000;
