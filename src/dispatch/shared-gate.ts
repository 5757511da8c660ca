import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import {
  failuresToClose,
  firstProbeAfterMs,
  type Gate,
  type GateOptions,
  type GateState,
  lastProbeAfterMs,
  type Probe,
  startingAt,
} from './gate.ts';

/**
 * Where replicas keep what they know of an installation's gate: versions of a text per target (the token and address
 * that it is said of), of which only the newest can be replaced.
 */
export type GateStore = {
  /** Null: the store can't be reached. Rejects only on a bug. */
  look(target: string): Promise<GateView | null>;
  /** False: it is no longer the newest version, or the store can't be reached. */
  put(target: string, version: number, state: string): Promise<boolean>;
};

/** Version 0: nothing was ever kept. `nowMs` is by the one clock that all replicas share. */
export type GateView = { version: number; state: string | null; nowMs: number };

/** Whatever is added later must be optional: replicas of the version before leave it out. */
const Kept = z.object({
  open: z.boolean(),
  reason: z.string(),
  message: z.string(),
  remedy: z.string(),
  sinceMs: z.number(),
  nextProbeAtMs: z.number(),
  probeAfterMs: z.number(),
  /** Who asks Intercom now, and until when that is believed. */
  prober: z.object({ replica: z.string(), untilMs: z.number() }).nullable(),
  /** Who closed it, or asked in vain: next time somebody else is to ask, whose network may be better. */
  closer: z.string().nullable(),
});
type Kept = z.infer<typeof Kept>;
type Closed = GateState & { open: false };

const openAsEver: Kept = {
  open: true,
  reason: '',
  message: '',
  remedy: '',
  sinceMs: 0,
  nextProbeAtMs: 0,
  probeAfterMs: firstProbeAfterMs,
  prober: null,
  closer: null,
};

const lookEveryMs = 500;
const probeLeaseMs = 5000;
const closerWaitsMs = 1500;
const toleratedMs = 1000;

/**
 * One gate for all replicas: what closes it at one of them closes it at all, one at a time asks Intercom, and all open
 * when it is well. Each asks once for itself before it sends anything on a target that is new to it.
 */
export function createSharedGate(
  options: GateOptions & {
    store: GateStore;
    /** Of what the gate speaks. Where it changes, nothing that was known counts any more. */
    target(): string;
  },
): Gate {
  const { store } = options;
  const localNow = options.now ?? Date.now;
  const replica = randomUUID();
  let aheadMs = 0; // the shared clock, minus the local one
  let state: GateState = startingAt(localNow());
  let kept = openAsEver;
  let readyFor: string | null = null; // the target that this replica has asked about, and that was well
  let unwritten: { target: string; reason: string } | null = null; // a hold that the others don't know of yet
  let own = { target: '', probeAtMs: 0, probeAfterMs: firstProbeAfterMs }; // while only this one can't reach Intercom
  let failures = 0;
  let hasAsked = false;
  let isLooking = false;
  let isForgetting = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let asking: Promise<void> | undefined;

  function now(): number {
    return localNow() + aheadMs;
  }

  /** What `next` makes of what is kept, or what is kept where that is null. Null: the store can't be reached. */
  async function change(next: (before: Kept) => Kept | null, target = options.target()): Promise<Kept | null> {
    for (;;) {
      const view = await store.look(target);
      if (!view) return null;
      aheadMs = view.nowMs - localNow();
      const before = view.state === null ? openAsEver : Kept.parse(JSON.parse(view.state));
      const after = next(before);
      if (after === null || (await store.put(target, view.version, JSON.stringify(after)))) {
        kept = after ?? before;
        return kept;
      }
    }
  }

  async function look(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    try {
      if (unwritten) await write(unwritten);
      else if (await change(renewed)) await adopt();
    } finally {
      isLooking = false;
    }
  }

  /** A probe that lasts keeps its lease. */
  function renewed(before: Kept): Kept | null {
    if (!asking || before.prober?.replica !== replica) return null;
    const leftMs = before.prober.untilMs - now();
    if (leftMs > probeLeaseMs / 2 && leftMs <= probeLeaseMs + toleratedMs) return null;
    return { ...before, prober: { replica, untilMs: now() + probeLeaseMs } };
  }

  async function adopt(): Promise<void> {
    if (stopped || unwritten) return;
    if (!kept.open) {
      show(closedAs(kept));
      if (!asking && isDue(kept) && (await claim())) void ask();
    } else if (readyFor === options.target()) {
      show({ open: true });
    } else if (!asking && (!isAhead(own.probeAtMs, lastProbeAfterMs) || own.target !== options.target())) {
      void ask();
    }
  }

  /** What is further ahead than it can be was said before the shared clock was set back. */
  function isAhead(atMs: number, atMostMs: number): boolean {
    return now() < atMs && atMs <= now() + atMostMs + toleratedMs;
  }

  function isDue({ open, nextProbeAtMs, closer, prober }: Kept): boolean {
    // Whoever has just started asks at once: a restart is how people say that they have mended it.
    const dueAtMs = hasAsked ? nextProbeAtMs + (closer === replica ? closerWaitsMs : 0) : 0;
    if (open || isAhead(dueAtMs, lastProbeAfterMs + closerWaitsMs)) return false;
    return prober === null || prober.replica === replica || !isAhead(prober.untilMs, probeLeaseMs);
  }

  async function claim(): Promise<boolean> {
    const after = await change((before) =>
      isDue(before) ? { ...before, prober: { replica, untilMs: now() + probeLeaseMs } } : null,
    );
    return after !== null && !after.open && after.prober?.replica === replica && !stopped;
  }

  /** One question at a time: who asks meanwhile hears the same answer. */
  function ask(): Promise<void> {
    asking ??= askOnce().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  async function askOnce(): Promise<void> {
    const target = options.target();
    hasAsked = true;
    let answer: Probe;
    try {
      answer = await options.probe();
    } catch (error) {
      if (stopped) return;
      throw error;
    }
    if (target === options.target() && !stopped) await (answer.ok ? accepted(target) : refused(target, answer));
    if (target !== options.target() && !stopped) await askOnce(); // the answer was of another one
  }

  async function accepted(target: string): Promise<void> {
    // How long to wait after the next failure is forgotten by a delivery alone.
    const after = await change(({ open, probeAfterMs }) => (open ? null : { ...openAsEver, probeAfterMs }), target);
    if (!after || stopped) return;
    readyFor = target;
    failures = 0;
    own = { target, probeAtMs: 0, probeAfterMs: firstProbeAfterMs };
    unwritten = null;
    show({ open: true });
  }

  async function refused(target: string, answer: Probe & { ok: false }): Promise<void> {
    // That one can't reach Intercom says nothing of the others, who are at work.
    const isOwn = answer.reason === 'unreachable';
    const after = await change(
      (before) => (before.open && isOwn ? null : closed(before, answer.reason, answer)),
      target,
    );
    if (!after || stopped) return;
    if (!after.open) {
      show(closedAs(after));
      return;
    }
    readyFor = null;
    const waitsMs = own.target === target ? own.probeAfterMs : firstProbeAfterMs;
    own = { target, probeAtMs: now() + waitsMs, probeAfterMs: Math.min(waitsMs * 2, lastProbeAfterMs) };
    const { reason, message, remedy } = answer;
    const sinceMs = state.open ? now() : state.sinceMs;
    show({ open: false, reason, message, remedy, sinceMs, nextProbeAtMs: own.probeAtMs });
  }

  function closed(before: Kept, reason: string, { message, remedy }: { message: string; remedy: string }): Kept {
    const found = { open: false, reason, message, remedy, prober: null };
    // Who asks before it is time (at its start, or because somebody wants to know) postpones nothing.
    if (!before.open && isAhead(before.nextProbeAtMs, lastProbeAfterMs)) return { ...before, ...found };
    return {
      ...found,
      sinceMs: before.open ? now() : before.sinceMs,
      nextProbeAtMs: now() + before.probeAfterMs,
      probeAfterMs: Math.min(before.probeAfterMs * 2, lastProbeAfterMs),
      closer: replica,
    };
  }

  /** At once here, and at the others as soon as the store can be reached. */
  function hold(reason: string): void {
    if (!state.open) return;
    unwritten = { target: options.target(), reason };
    show(closedAs(closed(kept, reason, options.explain(reason))));
    void write(unwritten);
  }

  async function write(found: { target: string; reason: string }): Promise<void> {
    const { target, reason } = found;
    const after = await change(
      (before) => (before.open ? closed(before, reason, options.explain(reason)) : null),
      target,
    );
    if (!after || unwritten !== found) return;
    unwritten = null;
    if (target === options.target()) await adopt();
  }

  function show(next: GateState): void {
    const isSame = next.open ? state.open : !state.open && state.reason === next.reason;
    state = next;
    if (!isSame) options.onChange(state);
  }

  function watch(): void {
    // On the beat, so that the gates of all installations are looked at by one query.
    timer = setTimeout(
      () => {
        watch();
        void look();
      },
      lookEveryMs - (localNow() % lookEveryMs),
    );
  }

  return {
    isOpen: () => state.open,
    state: () => state,
    start() {
      watch();
      void look();
    },
    ask,
    hold,
    succeeded() {
      failures = 0;
      // Only a delivery proves that the cause is gone: a probe may pass where the work does not.
      if (!kept.open || kept.probeAfterMs === firstProbeAfterMs || isForgetting) return;
      isForgetting = true;
      void change((before) => (before.open ? { ...before, probeAfterMs: firstProbeAfterMs } : null)).finally(() => {
        isForgetting = false;
      });
    },
    failed(reason) {
      failures += 1;
      if (failures >= failuresToClose) hold(reason);
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}

function closedAs({ reason, message, remedy, sinceMs, nextProbeAtMs }: Kept): Closed {
  return { open: false, reason, message, remedy, sinceMs, nextProbeAtMs };
}
