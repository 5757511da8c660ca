import type { Sent } from './workload.ts';

/**
 * Who is one person, worked out from what was accepted alone: an email that comes with a userId belongs to the first
 * such userId, with all that was told of it before and after; two userIds are never one.
 */
export type People = {
  /** The person of an event, by all that is known in the end. */
  inTheEnd(event: Sent): string;
  /** The person of the earlier event, by what was known when the later one was accepted. */
  asOf(later: Sent, earlier: Sent): string;
};

export function createPeople(accepted: Sent[]): People {
  /** Of each email its user, and the `n` of the event that told so. */
  const owners = new Map<string, { userId: string; n: number }>();
  for (const { n, userId, email } of accepted) {
    if (userId !== undefined && email !== undefined && !owners.has(email)) owners.set(email, { userId, n });
  }

  function personOf({ userId, email }: Sent, until: number): string {
    if (userId !== undefined) return userId;
    const owner = owners.get(email ?? '');
    return owner && owner.n <= until ? owner.userId : (email ?? '');
  }

  return {
    inTheEnd: (event) => personOf(event, Infinity),
    asOf: (later, earlier) => personOf(earlier, later.n),
  };
}
