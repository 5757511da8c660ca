import { type ConsentCategory, type ConsentDecision, decideConsent } from './consent.ts';
import type { SignalEvent } from './event.ts';

/** Which consent an event needs, and whether it is there. */
export type ConsentPolicy = {
  decide(event: SignalEvent): ConsentDecision;
  /** What the event says of the person's consent; null when it carries none. */
  statement(event: SignalEvent): { functional: boolean; marketing: boolean } | null;
  /** Whether an accepted event may still be sent, by the newest consent known of the person. */
  mayStillSend(
    event: SignalEvent,
    atMs: number,
    newest: { functional: boolean; marketing: boolean; atMs: number } | null,
  ): boolean;
};

export function createConsentPolicy(options: {
  category: ConsentCategory;
  marketingEvents: readonly string[];
  whenAbsent: 'allow' | 'deny';
  /** Whether rules may ask for a category of their own. */
  hasRules: boolean;
  /** The category that a mapping rule asks for, if any. */
  ruleCategory(event: SignalEvent): ConsentCategory | undefined;
}): ConsentPolicy {
  const marketing = new Set(options.marketingEvents.map(nameKey));

  // A refusal of what nothing here asks for need not be remembered.
  const isAsked = (one: ConsentCategory): boolean =>
    options.hasRules || options.category === one || (one === 'marketing' && marketing.size > 0);

  function category(event: SignalEvent): ConsentCategory {
    const rule = options.ruleCategory(event);
    if (rule !== undefined) return rule;
    const names =
      event.type === 'track'
        ? [event.name]
        : event.type === 'page'
          ? ['page', 'page_viewed', event.name]
          : [event.type];
    return names.some((name) => name !== undefined && marketing.has(nameKey(name))) ? 'marketing' : options.category;
  }

  return {
    decide: (event) => decideConsent(event.consent, category(event), options.whenAbsent),
    statement(event) {
      if (event.consent === undefined) return null;
      return {
        functional: !isAsked('functional') || decideConsent(event.consent, 'functional', 'deny').granted,
        marketing: !isAsked('marketing') || decideConsent(event.consent, 'marketing', 'deny').granted,
      };
    },
    // What an event says itself outweighs what was known before it; one that says nothing falls under what is known.
    mayStillSend: (event, atMs, newest) =>
      newest === null || (event.consent !== undefined && newest.atMs < atMs) || newest[category(event)],
  };
}

/** `Product Viewed`, `product_viewed` and `product-viewed` are one event to whoever lists it. */
function nameKey(name: string): string {
  return name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_-]+/g, '_');
}
