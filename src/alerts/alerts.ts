import type { Sighting, Snapshot, View } from './causes.ts';

/**
 * Tells of each cause once when it begins, once when it is over, and every few hours while it lasts, however many
 * events it strikes. A cause is an alert's name, an installation and a reason.
 *
 *     seen ──▶ pending ── for `afterMs` ──▶ firing ── unseen for `lingerMs` ──▶ resolved
 *
 * What is firing outlives the process: a wrong token is often mended by a restart, and that it is mended has to be told.
 */
export type Alerts = {
  start(): void;
  /** Looks no more. */
  stop(): void;
  /** Every cause that fired since the start, for the metrics. */
  causes(): (Pick<Sighting, 'alert' | 'installation' | 'reason'> & { isFiring: boolean })[];
};

export type Notice = Pick<Sighting, 'alert' | 'installation' | 'reason' | 'message' | 'remedy'> & {
  state: 'firing' | 'resolved';
  sinceMs: number;
  atMs: number;
  /** What it has cost since it began. */
  events: number;
};

/** A cause that was told and is not over. */
export type Standing = Sighting & { sinceMs: number; seenAtMs: number; toldAtMs: number };

export type AlertsOptions = {
  look(): Promise<Snapshot>;
  find(now: Snapshot, before: Snapshot | undefined): View;
  tell(notice: Notice): void;
  /** What was firing when the last process ended, and where to keep it for the next. */
  memory: { read(): Standing[]; write(standing: Standing[]): void };
  onError(error: unknown): void;
  everyMs?: number;
  repeatMs?: number;
};

const defaultEveryMs = 5000;
const defaultRepeatMs = 4 * 3_600_000;

export function createAlerts(options: AlertsOptions): Alerts {
  const { everyMs = defaultEveryMs, repeatMs = defaultRepeatMs } = options;
  let before: Snapshot | undefined;
  /** When a cause that nobody was told of yet was first seen, and what it has cost since. */
  let pending = new Map<string, Labels & { sinceMs: number; events: number }>();
  const firing = new Map<string, Standing>();
  const over = new Map<string, Sighting | Standing>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;

  async function look(): Promise<void> {
    try {
      const now = await options.look();
      if (isStopped) return;
      if (!before) for (const [key, standing] of firing) firing.set(key, { ...standing, seenAtMs: now.atMs });
      const view = options.find(now, before);
      before = now;
      judge(view, now.atMs);
    } catch (error) {
      if (!isStopped) options.onError(error);
    } finally {
      if (!isStopped) timer = setTimeout(() => void look(), everyMs);
    }
  }

  function judge({ sightings, isHidden }: View, atMs: number): void {
    const toldBefore = tellings();
    const next: typeof pending = new Map();
    for (const sighting of sightings) {
      const key = keyOf(sighting);
      const standing = firing.get(key);
      if (standing) {
        const events = standing.events + sighting.events;
        firing.set(key, { ...standing, ...sighting, events, seenAtMs: atMs });
        continue;
      }
      const { sinceMs, events } = pending.get(key) ?? { sinceMs: atMs, events: 0 };
      const waiting = { ...labels(sighting), sinceMs, events: events + sighting.events };
      if (atMs - sinceMs < sighting.afterMs) next.set(key, waiting);
      else firing.set(key, { ...sighting, ...waiting, seenAtMs: atMs, toldAtMs: 0 });
    }
    for (const [key, waiting] of pending) {
      if (!next.has(key) && !firing.has(key) && isHidden(waiting.alert, waiting.installation)) next.set(key, waiting);
    }
    pending = next;
    for (const [key, standing] of firing) settle(key, standing, atMs, isHidden);
    if (tellings() !== toldBefore) options.memory.write([...firing.values()]);
  }

  function tellings(): string {
    return [...firing].map(([key, { toldAtMs }]) => `${key} ${toldAtMs}`).join();
  }

  function settle(key: string, standing: Standing, atMs: number, isHidden: View['isHidden']): void {
    if (isHidden(standing.alert, standing.installation)) {
      firing.set(key, { ...standing, seenAtMs: atMs });
    } else if (standing.seenAtMs < atMs && atMs - standing.seenAtMs >= standing.lingerMs) {
      firing.delete(key);
      over.set(key, standing);
      options.tell(noticeOf(standing, 'resolved', atMs));
    } else if (atMs - standing.toldAtMs >= repeatMs) {
      over.delete(key);
      firing.set(key, { ...standing, toldAtMs: atMs });
      options.tell(noticeOf(standing, 'firing', atMs));
    }
  }

  return {
    start() {
      for (const standing of options.memory.read()) firing.set(keyOf(standing), standing);
      void look();
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
    causes: () => [
      ...[...firing.values()].map((one) => ({ ...labels(one), isFiring: true })),
      ...[...over.values()].map((one) => ({ ...labels(one), isFiring: false })),
    ],
  };
}

type Labels = Pick<Sighting, 'alert' | 'installation' | 'reason'>;

function labels({ alert, installation, reason }: Labels): Labels {
  return { alert, installation, reason };
}

function keyOf({ alert, installation, reason }: Labels): string {
  return JSON.stringify([alert, installation, reason]);
}

function noticeOf(standing: Standing, state: Notice['state'], atMs: number): Notice {
  const { message, remedy, sinceMs, events } = standing;
  return { ...labels(standing), state, message, remedy, sinceMs, atMs, events };
}
