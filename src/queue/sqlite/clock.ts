/**
 * Waits go by the steady clock, which nobody can set and which says nothing outside of this process; what is written
 * down goes by the wall clock. So nobody waits for the hour to come again by which the machine's clock was set back.
 */
export type Clock = { steadyMs(): number; wallMs(): number };

export const machineClock: Clock = { steadyMs: () => performance.now(), wallMs: () => Date.now() };

/** No retry waits for longer: a time further away was written before the machine's clock was set back. */
const longestWaitMs = 600_000;

/** The steady time of a wall clock's time that was written down; 0, for at once, where that is over. */
export function steadyTime(clock: Clock, writtenMs: number): number {
  const leftMs = Math.min(writtenMs - clock.wallMs(), longestWaitMs);
  return leftMs > 0 ? clock.steadyMs() + leftMs : 0;
}
