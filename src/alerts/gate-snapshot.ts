import type { GateState } from '../dispatch/gate.ts';
import { holdTexts } from '../intercom/preflight.ts';
import type { InstallationSnapshot } from './causes.ts';

/** What alerts have to know of an installation's gate. */
export function gateSnapshot(state: GateState): InstallationSnapshot['gate'] {
  if (state.open) return { kind: 'open' };
  const { reason, message, remedy } = state;
  if (reason === 'starting') return { kind: 'unknown' };
  return {
    kind: 'held',
    reason,
    message,
    remedy,
    mendsItself: !(reason in holdTexts || reason === 'token_unreadable'),
  };
}
