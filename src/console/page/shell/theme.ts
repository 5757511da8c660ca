import { signal } from '@preact/signals';

/** `system` follows the computer's setting. */
export const themes = ['system', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];

const key = 'signal-intercom.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

export const theme = signal<Theme>(themes.find((name) => name === localStorage.getItem(key)) ?? 'system');
/** Counts changes of what is seen, for whatever paints by itself (the charts). */
export const themeChanges = signal(0);

export function applyTheme(): void {
  theme.subscribe((chosen) => {
    if (chosen === 'system') localStorage.removeItem(key);
    else localStorage.setItem(key, chosen);
    show();
  });
  dark.addEventListener('change', show);
}

function show(): void {
  const isDark = theme.value === 'dark' || (theme.value === 'system' && dark.matches);
  document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
  themeChanges.value = themeChanges.peek() + 1;
}
