import type { StreamState } from '../service/stream.ts';
import { Ago } from '../widgets/time.tsx';

/** Whether what is shown is live. */
export function StreamMark({ state, isPaused }: { state: StreamState; isPaused: boolean }) {
  if (isPaused)
    return (
      <span class="reach off">
        <span class="reach-dot" aria-hidden="true" />
        Paused
      </span>
    );
  if (state.kind === 'live')
    return (
      <span class="reach good">
        <span class="reach-dot" aria-hidden="true" />
        Live
      </span>
    );
  return (
    <span class="reach warn">
      <span class="reach-dot" aria-hidden="true" />
      {state.kind === 'connecting' ? (
        'Connecting…'
      ) : (
        <>
          Reconnecting <Ago ms={state.untilMs} />
        </>
      )}
    </span>
  );
}
