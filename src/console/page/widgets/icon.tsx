const paths = {
  delivered: 'M3.5 8.5l3 3 6-7',
  queued: 'M8 4.5V8l2.5 1.5M14 8A6 6 0 112 8a6 6 0 0112 0z',
  filtered: 'M14 8A6 6 0 112 8a6 6 0 0112 0zM4 12l8-8',
  dead: 'M4.5 4.5l7 7m0-7l-7 7',
  hold: 'M5.5 3.5v9m5-9v9',
  play: 'M5 3.5l7 4.5-7 4.5z',
  warning: 'M8 6v3m0 2.2v.1M7 2.8L1.8 12a1.2 1.2 0 001 1.8h10.4a1.2 1.2 0 001-1.8L9 2.8a1.2 1.2 0 00-2 0z',
  events: 'M2 8h2.5L6.5 3l3 10 2-5H14',
  'dead-letters': 'M2 9.5h3l1 2h4l1-2h3M2 9.5L4 3.5h8l2 6v3a1 1 0 01-1 1H3a1 1 0 01-1-1z',
  try: 'M2.5 3.5l3.5 4-3.5 4M8 12h5.5',
  health: 'M8 13.5S2 10 2 6.2A3.2 3.2 0 018 4.6a3.2 3.2 0 016 1.6C14 10 8 13.5 8 13.5z',
  integrations: 'M6 2v3.5m4-3.5v3.5M4 5.5h8V8a4 4 0 01-8 0zM8 12v2.5',
  copy: 'M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z',
  close: 'M4 4l8 8m0-8l-8 8',
  redrive: 'M13 3v3.5H9.5M3 13V9.5h3.5M12.6 6.5A5 5 0 004 5M3.4 9.5A5 5 0 0012 11',
  search: 'M7 12A5 5 0 107 2a5 5 0 000 10zm3.6-1.4L14 14',
  person: 'M8 8a2.8 2.8 0 100-5.6A2.8 2.8 0 008 8zm-5.5 5.8c.5-2.6 2.7-4 5.5-4s5 1.4 5.5 4',
  page: 'M4 2h5l3.5 3.5V14H4zM9 2v3.5h3.5',
  group: 'M3 14V3.5L8 2v12m0-8.5h5V14M2 14h12M5 6h.5M5 9h.5m5 0h.5',
  track: 'M9 2L3.5 9H8l-1 5 5.5-7H8z',
  light:
    'M8 5a3 3 0 100 6 3 3 0 000-6zM8 1.5v1m0 11v1M1.5 8h1m11 0h1M3.4 3.4l.7.7m7.8 7.8l.7.7m0-9.2l-.7.7M4.1 11.9l-.7.7',
  dark: 'M13.5 9.5A6 6 0 016.5 2.5a6 6 0 107 7z',
  system: 'M2 3h12v8H2zM6 14h4M8 11v3',
  out: 'M6 2.5H3v11h3M6.5 8H14m-3-3l3 3-3 3',
  link: 'M6 3H3v10h10v-3M9 3h4v4M13 3L7.5 8.5',
  back: 'M10 3L5 8l5 5',
  forward: 'M6 3l5 5-5 5',
} as const;

export type IconName = keyof typeof paths;

/** Beside a text that says the same: heard by nobody. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}

export function typeIcon(type: string): IconName {
  if (type === 'identify') return 'person';
  if (type === 'group') return 'group';
  return type === 'page' || type === 'screen' ? 'page' : 'track';
}
