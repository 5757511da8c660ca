/**
 * Whether an installation's events may be sent. It closes on a hold (a bad token) and when Intercom fails again and
 * again; then one probe at a time asks whether it is well, 5 to 60 seconds apart, and nothing else is sent.
 */
export type Gate = {
  isOpen(): boolean;
  state(): GateState;
  /** Asks at once; the gate is closed until the first answer. */
  start(): void;
  /** Asks now, whatever the state; resolves with the answer taken in. */
  ask(): Promise<void>;
  hold(reason: string): void;
  /** An attempt that Intercom answered. */
  succeeded(): void;
  /** An attempt that ended in a 5xx or without an answer. */
  failed(reason: string): void;
  stop(): void;
};

export type GateState =
  | { open: true }
  | { open: false; reason: string; message: string; remedy: string; sinceMs: number; nextProbeAtMs: number | null };

export type Probe = { ok: true } | { ok: false; reason: string; message: string; remedy: string };

export type GateOptions = {
  probe(): Promise<Probe>;
  explain(reason: string): { message: string; remedy: string };
  onChange(state: GateState): void;
  now?: () => number;
};

/** Failures in a row, of any jobs, after which one probe replaces the traffic. */
export const failuresToClose = 5;
export const firstProbeAfterMs = 5000;
export const lastProbeAfterMs = 60_000;

export function createGate(options: GateOptions): Gate {
  const now = options.now ?? Date.now;
  let state = startingAt(now());
  let failures = 0;
  let probeAfterMs = firstProbeAfterMs;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let asking: Promise<void> | undefined;

  function close(reason: string, text: { message: string; remedy: string }): void {
    const same = !state.open && state.reason === reason;
    const sinceMs = state.open ? now() : state.sinceMs;
    state = {
      open: false,
      reason,
      message: text.message,
      remedy: text.remedy,
      sinceMs,
      nextProbeAtMs: now() + probeAfterMs,
    };
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(() => void ask(), probeAfterMs);
    probeAfterMs = Math.min(probeAfterMs * 2, lastProbeAfterMs);
    if (!same) options.onChange(state);
  }

  /** One question at a time: who asks meanwhile hears the same answer. */
  function ask(): Promise<void> {
    asking ??= askOnce().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function askOnce(): Promise<void> {
    let answer: Probe;
    try {
      answer = await options.probe();
    } catch (error) {
      if (stopped) return;
      throw error;
    }
    if (stopped) return;
    if (!answer.ok) {
      close(answer.reason, answer);
      return;
    }
    failures = 0;
    clearTimeout(timer);
    state = { open: true };
    options.onChange(state);
  }

  return {
    isOpen: () => state.open,
    state: () => state,
    start: () => void ask(),
    ask,
    hold(reason) {
      if (state.open) close(reason, options.explain(reason));
    },
    succeeded() {
      failures = 0;
      // Only a delivery proves that the cause is gone: a probe may pass where the work does not.
      probeAfterMs = firstProbeAfterMs;
    },
    failed(reason) {
      failures += 1;
      if (failures >= failuresToClose && state.open) close(reason, options.explain(reason));
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

export function startingAt(sinceMs: number): GateState {
  return {
    open: false,
    reason: 'starting',
    message: 'the access token is being checked',
    remedy: 'wait a moment',
    sinceMs,
    nextProbeAtMs: null,
  };
}
