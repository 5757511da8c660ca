import './app.css';
import { useEffect, useRef } from 'preact/hooks';
import { DeadLettersScreen } from '../dead-letters/screen.tsx';
import { EventsScreen } from '../events/screen.tsx';
import { HealthScreen } from '../health/screen.tsx';
import { IntegrationsScreen } from '../integrations/screen.tsx';
import { followOverview } from '../service/overview.ts';
import { adminToken } from '../service/session.ts';
import { TryScreen } from '../try-it/screen.tsx';
import { Announcer } from './announcer.tsx';
import { Holds } from './holds.tsx';
import { Navigation, screenTitles } from './navigation.tsx';
import { route, type Screen } from './route.ts';
import { SignIn } from './sign-in.tsx';

export function App() {
  const isSignedIn = adminToken.value !== null;
  const wasSignedOut = useRef(!isSignedIn);
  wasSignedOut.current ||= !isSignedIn;
  return (
    <>
      {isSignedIn ? <Console isFresh={wasSignedOut.current} /> : <SignIn />}
      <Announcer />
    </>
  );
}

const content: Record<Screen, () => preact.JSX.Element> = {
  events: EventsScreen,
  'dead-letters': DeadLettersScreen,
  try: TryScreen,
  health: HealthScreen,
  integrations: IntegrationsScreen,
};

/** `isFresh`: after a sign-in, whose field had the focus. */
function Console({ isFresh }: { isFresh: boolean }) {
  const { screen } = route.value;
  const main = useRef<HTMLElement>(null);
  const shown = useRef<Screen | null>(null);
  useEffect(followOverview, []);
  useEffect(() => {
    document.title = `${screenTitles[screen]} · Signal → Intercom`;
    // A new screen begins at its top, for who reads by ear too.
    if (shown.current === null ? isFresh : shown.current !== screen) main.current?.focus({ preventScroll: true });
    if (shown.current !== screen) scrollTo(0, 0);
    shown.current = screen;
  }, [screen]);
  const Content = content[screen];
  return (
    <div class="console">
      <a
        class="skip-link"
        href="#main"
        onClick={(event) => {
          event.preventDefault(); // the part behind the # says which screen it is
          main.current?.focus();
        }}
      >
        Skip to the content
      </a>
      <Navigation />
      <main id="main" class={`main ${screen}`} tabIndex={-1} ref={main}>
        <Holds />
        <Content key={screen} />
      </main>
    </div>
  );
}
