import { cut } from './attribute-value.ts';
import { snakeCase } from './spelling.ts';
import type { Warn } from './warning.ts';

export type EventNaming = 'preserve' | 'snake_case';

const longestName = 255;

/** Signal's own name for a page in Intercom. One for all pages: a workspace has room for 120 event names. */
export const pageEventName = 'page_viewed';

/** The name as Intercom shall show it; `undefined` if nothing readable is left of it. */
export function readEventName(sent: string, naming: EventNaming, warn: Warn): string | undefined {
  const clean = cleanName(sent);
  const name = naming === 'snake_case' ? snakeCase(clean) || clean : clean;
  if (name.length > longestName) {
    warn(
      'event_name_cut',
      `the event name is longer than ${longestName} characters and was cut: send a fixed, short name and put what varies in properties`,
    );
  }
  return cut(name, longestName) || undefined;
}

/** What Intercom takes for the same name: case does not count, and `.` and `$` are stored as `-`. */
export function eventKey(intercomEventName: string): string {
  return intercomEventName.toLowerCase().replace(/[.$]/g, '-');
}

function cleanName(name: string): string {
  return name
    .replace(/\p{Cc}/gu, '')
    .toWellFormed()
    .trim();
}
