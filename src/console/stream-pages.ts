import type { EventFilter, EventSummary, Queue } from '../queue/queue.ts';
import type { Change, Picked } from './change-ring.ts';
import { toSummary } from './event-answers.ts';
import { matches } from './event-query.ts';

/** What readers that stand at the same place and look for the same are to be told. */
export type Page = Picked & { from: number; filter: EventFilter };

const summariesAsked = 500;

/**
 * Writes pages as server-sent events. Whatever two pages share is asked for and written once: the work grows with
 * what is shown, not with who watches.
 */
export function createPageWriter(
  queue: Pick<Queue, 'summaries'>,
  eventId: (number: number) => string,
): (pages: Page[]) => Promise<Buffer[]> {
  return async (pages) => {
    const found = await findSummaries(pages);
    const lines = new Map<number, string>();
    return pages.map((page, index) => write(page, found[index]!, lines));
  };

  /** By page, what the ring does not hold itself. */
  async function findSummaries(pages: Page[]): Promise<Map<string, EventSummary>[]> {
    const shared = await ask(new Set(pages.flatMap((page) => (page.filter.text === undefined ? wanted(page) : []))));
    const found: Map<string, EventSummary>[] = [];
    for (const page of pages) {
      const { text } = page.filter;
      found.push(text === undefined ? shared : await ask(new Set(wanted(page)), text));
    }
    return found;
  }

  async function ask(ids: Set<string>, text?: string): Promise<Map<string, EventSummary>> {
    const found = new Map<string, EventSummary>();
    const all = [...ids];
    for (let start = 0; start < all.length; start += summariesAsked) {
      const some = await queue.summaries(all.slice(start, start + summariesAsked), text);
      for (const summary of some) found.set(summary.id, summary);
    }
    return found;
  }

  function write(page: Page, found: Map<string, EventSummary>, lines: Map<number, string>): Buffer {
    let text = page.skipped > 0 ? message(page.from, 'skipped', `{"count":${page.skipped}}`) : '';
    for (const change of page.changes) {
      const summary = known(change, page.filter) ?? found.get(change.state.id);
      if (!summary || !matches(page.filter, summary)) continue;
      let line = lines.get(change.number);
      if (line === undefined) {
        line = message(change.number, 'event', JSON.stringify(toSummary(summary)));
        lines.set(change.number, line);
      }
      text += line;
    }
    return Buffer.from(text);
  }

  function message(number: number, event: string, data: string): string {
    return `id: ${eventId(number)}\nevent: ${event}\ndata: ${data}\n\n`;
  }
}

function wanted({ changes, filter }: Page): string[] {
  return changes.flatMap((change) => (known(change, filter) ? [] : [change.state.id]));
}

/** The ring's own summary, where that is enough to tell whether the event matches. */
function known({ summary }: Change, { text }: EventFilter): EventSummary | undefined {
  return summary && text === undefined ? summary : undefined;
}
