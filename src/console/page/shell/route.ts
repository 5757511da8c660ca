import { computed, signal } from '@preact/signals';

/**
 * What is shown stands in the address, behind the #: it can be bookmarked and sent to a colleague, and the emails and
 * ids that are looked for never reach a server's log.
 */
export const screens = ['events', 'dead-letters', 'try', 'health', 'integrations'] as const;
export type Screen = (typeof screens)[number];
export type Route = { screen: Screen; query: ReadonlyMap<string, string> };

const hash = signal(location.hash);
addEventListener('hashchange', () => (hash.value = location.hash));

export const route = computed(() => parseRoute(hash.value));

export function parseRoute(text: string): Route {
  const [path = '', query = ''] = text.replace(/^#?\/?/, '').split('?');
  const screen = screens.find((name) => name === path) ?? 'events';
  return { screen, query: new Map([...new URLSearchParams(query)].filter(([, value]) => value !== '')) };
}

/** Entries that are null or empty are left out. */
export function href(screen: Screen, query: Iterable<readonly [string, string | null]> = []): string {
  const kept = [...query].flatMap(([key, value]) => (value === null || value === '' ? [] : [[key, value]]));
  return `#/${screen}${kept.length > 0 ? `?${new URLSearchParams(kept)}` : ''}`;
}

/** The same screen with some entries changed. */
export function hrefWith(changes: Record<string, string | null>): string {
  const { screen, query } = route.value;
  return href(screen, [...new Map<string, string | null>([...query, ...Object.entries(changes)])]);
}

/** `replace`: for what is typed, so that the back button leaves the screen and not the letter. */
export function go(target: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, '', target);
  else history.pushState(null, '', target);
  hash.value = location.hash;
}
addEventListener('popstate', () => (hash.value = location.hash));
