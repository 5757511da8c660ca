import './navigation.css';
import { useEffect, useRef } from 'preact/hooks';
import { overview, overviewFailure } from '../service/overview.ts';
import { signOut } from '../service/session.ts';
import { Button } from '../widgets/button.tsx';
import { Icon } from '../widgets/icon.tsx';
import { count } from '../widgets/time.tsx';
import { href, route, type Screen, screens } from './route.ts';
import { theme, themes } from './theme.ts';

export const screenTitles: Record<Screen, string> = {
  events: 'Live events',
  'dead-letters': 'Dead letters',
  try: 'Try it',
  health: 'Health',
  integrations: 'Integrations',
};

const themeTexts = { system: 'Colours: as the system', light: 'Colours: light', dark: 'Colours: dark' };

export function Navigation() {
  const list = useRef<HTMLUListElement>(null);
  useEffect(
    () => list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' }),
    [route.value.screen],
  );
  return (
    <header class="navigation">
      <div class="brand">
        <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M7 16h5l3-7 4 14 3-7h3" />
        </svg>
        <span>
          Signal <span class="brand-arrow">→</span> Intercom
        </span>
      </div>
      <nav aria-label="Screens">
        <ul ref={list}>
          {screens.map((screen) => (
            <li key={screen}>
              <a href={href(screen)} aria-current={route.value.screen === screen ? 'page' : undefined}>
                <Icon name={screen} />
                <span>{screenTitles[screen]}</span> <Mark screen={screen} />
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="navigation-foot">
        <Reach />
        <Button
          kind="quiet"
          icon={theme.value}
          label={themeTexts[theme.value]}
          onClick={() => (theme.value = themes[(themes.indexOf(theme.value) + 1) % themes.length] ?? 'system')}
        />
        <Button kind="quiet" icon="out" label="Sign out" onClick={() => signOut()} />
      </div>
    </header>
  );
}

/** What waits for somebody on that screen. */
function Mark({ screen }: { screen: Screen }) {
  const known = overview.value;
  if (!known) return null;
  const held = known.installations.filter(({ hold, status }) => hold !== null && status === 'held').length;
  if (screen === 'dead-letters' && known.ledger.dead > 0)
    return (
      <span class="mark bad">
        {count(known.ledger.dead)}
        <span class="only-heard"> waiting</span>
      </span>
    );
  if (screen === 'integrations' && held > 0)
    return (
      <span class="mark warn">
        {held}
        <span class="only-heard"> on hold</span>
      </span>
    );
  return null;
}

function Reach() {
  const isLost = overviewFailure.value?.status === null;
  const version = overview.value?.version ?? '';
  return (
    <span class={`reach ${isLost ? 'bad' : 'good'}`} title={version === '' ? undefined : `Version ${version}`}>
      <span class="reach-dot" aria-hidden="true" />
      {isLost ? 'No connection' : 'Connected'}
    </span>
  );
}
