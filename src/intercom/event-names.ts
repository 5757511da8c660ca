import { z } from 'zod';
import type { Conversation } from './conversation.ts';

/** Intercom takes 120 active event names in a workspace, and refuses events of any further one with a 422. */
const mostNames = 120;
const warnFrom = 100;

const sharedKey = 'event-names';
const Names = z.array(z.string());

/** Counts the event names that this service has used, and warns before the workspace runs out of them. */
export type EventNames = ReturnType<typeof createEventNames>;

export function createEventNames() {
  let known: Set<string> | undefined;

  return {
    /** Call with the name of each event that Intercom took. */
    async used(c: Conversation, eventKey: string): Promise<void> {
      if (known?.has(eventKey)) return;
      const stored = known ? null : await c.shared(sharedKey);
      known ??= new Set(stored === null ? [] : Names.parse(JSON.parse(stored)));
      if (known.has(eventKey)) return;
      known.add(eventKey);
      c.share(sharedKey, JSON.stringify([...known]));
      if (known.size < warnFrom) return;
      c.warn({
        code: 'event_names_near_limit',
        message: `${known.size} of the ${mostNames} event names that a workspace may have are in use: map several events to one name (EVENT_NAMING, MAPPING_FILE), or archive names in Intercom`,
      });
    },
  };
}
