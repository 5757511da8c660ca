import { signal } from '@preact/signals';

const said = signal('');

/** Tells a screen reader, when it has nothing better to say. */
export function announce(text: string): void {
  said.value = text;
}

export function Announcer() {
  return (
    <div class="only-heard" role="status" aria-live="polite">
      {said}
    </div>
  );
}
