import type { Cause, Causes, EventFilter, EventSummary, Queue } from '../queue.ts';
import { type CountedDead, mergeCauses, type SomeCauses, type WalkedDead } from './causes.ts';
import { idOf, seqOf } from '../event-id.ts';
import type { Op, Results } from './protocol.ts';

type Ask = <O extends Op>(op: O) => Promise<Results[O['kind']]>;

/** Of 10,000 events each, for the causes of filtered ones. */
const filteredLooks = 10;

/** Long reads, made of bounded looks, between which the writer thread goes on with its writes. */
export function createLooks(ask: Ask): Pick<Queue, 'find' | 'countDead' | 'walkDead' | 'causes'> {
  async function find(filter: EventFilter, page: { limit: number; before: string | null }): ReturnType<Queue['find']> {
    const events: EventSummary[] = [];
    let below = page.before === null ? Infinity : seqOf(page.before);
    if (Number.isNaN(below)) return { events, next: null };
    while (events.length < page.limit && below > 0) {
      const found = await ask({ kind: 'find', filter, limit: page.limit - events.length, below });
      events.push(...found.events);
      below = found.below;
    }
    return { events, next: below > 0 ? (events.at(-1)?.id ?? null) : null };
  }

  async function countDead(filter: EventFilter): Promise<number> {
    let count = 0;
    for (let after: number | null = 0; after !== null;) {
      const counted: CountedDead = await ask({ kind: 'countDead', filter, after });
      count += counted.count;
      ({ after } = counted);
    }
    return count;
  }

  async function walkDead(
    filter: EventFilter,
    page: { limit: number; after: string | null; upTo: string },
  ): ReturnType<Queue['walkDead']> {
    const ids: string[] = [];
    const upTo = seqOf(page.upTo);
    let after: number | null = page.after === null ? 0 : seqOf(page.after);
    if (Number.isNaN(upTo) || Number.isNaN(after)) return { ids, next: null };
    while (after !== null && ids.length < page.limit) {
      const walked: WalkedDead = await ask({ kind: 'walkDead', filter, after, upTo, limit: page.limit - ids.length });
      ids.push(...walked.ids);
      ({ after } = walked);
    }
    return { ids, next: after === null ? null : (ids.at(-1) ?? null) };
  }

  async function causes(status: 'dead' | 'filtered', installation?: string): Promise<Causes> {
    let merged: Cause[] = [];
    if (status === 'dead') {
      for (let after: number | null = 0; after !== null;) {
        const some: SomeCauses = await ask({ kind: 'deadCauses', installation, after });
        merged = mergeCauses(merged, some.causes);
        after = some.next;
      }
      return { causes: merged, since: null };
    }
    let below: number | null = Infinity;
    for (let look = 0; look < filteredLooks && below !== null; look += 1) {
      const some: SomeCauses = await ask({ kind: 'filteredCauses', installation, below });
      merged = mergeCauses(merged, some.causes);
      below = some.next;
    }
    return { causes: merged, since: below === null ? null : idOf(below) };
  }

  return { find, countDead, walkDead, causes };
}
