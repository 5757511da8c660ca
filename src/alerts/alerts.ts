import { QueueUnavailable } from '../queue/queue.ts';
import type { Sighting, Snapshot, View } from './causes.ts';
import { type Remembered, readRemembered, writeRemembered } from './memory.ts';

/**
 * Tells of each cause once when it begins, once when it is over, and every few hours while it lasts, however many
 * events it strikes. A cause is an alert's name, an installation and a reason.
 *
 *     seen ──▶ pending ── for `afterMs` ──▶ firing ── unseen for `lingerMs` ──▶ resolved
 *
 * What is firing outlives the process: a wrong token is often mended by a restart, and that it is mended has to be told.
 * Of several replicas one looks, for all; who takes over from it goes on from its last look.
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

/** Whose turn it is to look; what is kept is known to whoever has it next. */
export type AlertDuty = {
  hold(): Promise<{ isNew: boolean; state: string | null } | null>;
  keep(state: string): Promise<boolean>;
  release(): Promise<void>;
};

/** A cause that was told and is not over. */
export type Standing = Sighting & { sinceMs: number; seenAtMs: number; toldAtMs: number };

export type AlertsOptions = {
  look(): Promise<Snapshot>;
  find(now: Snapshot, before: Snapshot | undefined): View;
  tell(notice: Notice): void;
  /** What was firing when the last process ended, and where to keep it for the next. */
  memory: { read(): Standing[]; write(standing: Standing[]): void };
  /** In place of the memory, where there are replicas. */
  duty?: AlertDuty | undefined;
  onError(error: unknown): void;
  everyMs?: number;
  repeatMs?: number;
};

const defaultEveryMs = 5000;
const defaultRepeatMs = 4 * 3_600_000;

export function createAlerts(options: AlertsOptions): Alerts {
  const { everyMs = defaultEveryMs, repeatMs = defaultRepeatMs } = options;
  let before: Snapshot | undefined;
  let pending = new Map<string, Waiting>();
  const firing = new Map<string, Standing>();
  const over = new Map<string, Sighting | Standing>();
  let timer: NodeJS.Timeout | undefined;
  let isStopped = false;
  /** Nothing was looked at yet since the state was taken over. */
  let isFresh = true;
  let turn: 'ours' | 'theirs' | 'away' = 'theirs';
  /** Something was told that whoever has the duty next would not know of. */
  let isUnkept = false;

  async function look(): Promise<void> {
    try {
      if (options.duty) await takeTurn(options.duty);
      if (options.duty && turn === 'theirs') return;
      const now = await options.look();
      if (isStopped) return;
      if (isFresh) for (const [key, standing] of firing) firing.set(key, { ...standing, seenAtMs: now.atMs });
      isFresh = false;
      const view = options.find(now, before);
      if (turn === 'away') return judge(ofStoreAlone(view), now.atMs);
      before = now;
      judge(view, now.atMs);
      if (options.duty && (await options.duty.keep(writeRemembered(remembered())))) isUnkept = false;
    } catch (error) {
      if (!isStopped) options.onError(error);
    } finally {
      if (!isStopped) timer = setTimeout(() => void look(), everyMs);
    }
  }

  /** While the database is away, whoever had the turn goes on, since just that has to be told. */
  async function takeTurn(duty: AlertDuty): Promise<void> {
    try {
      const taken = await duty.hold();
      if (turn !== 'theirs' && (!taken || taken.isNew)) resign();
      if (taken && turn === 'theirs') recall(readRemembered(taken.state));
      turn = taken ? 'ours' : 'theirs';
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) throw error;
      if (turn === 'ours') turn = 'away';
    }
  }

  function recall({ before: last, pending: waiting, firing: standing }: Remembered): void {
    before = last;
    pending = new Map(waiting.map((one) => [keyOf(one), one]));
    for (const one of standing) firing.set(keyOf(one), one);
    isFresh = true;
  }

  function remembered(): Remembered {
    return { before, pending: [...pending.values()], firing: [...firing.values()] };
  }

  /** Another one has it now, which knows of what was kept. */
  function resign(): void {
    for (const standing of firing.values()) {
      if (isUnkept && standing.alert === 'store') options.tell(noticeOf(standing, 'resolved', Date.now()));
    }
    turn = 'theirs';
    isUnkept = false;
    before = undefined;
    pending = new Map();
    firing.clear();
    over.clear();
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
    if (tellings() === toldBefore) return;
    isUnkept = true;
    if (!options.duty) options.memory.write([...firing.values()]);
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
      if (!options.duty) for (const standing of options.memory.read()) firing.set(keyOf(standing), standing);
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

/** Of other causes the database knows more than is seen here. */
function ofStoreAlone({ sightings }: View): View {
  return {
    sightings: sightings.filter(({ alert }) => alert === 'store'),
    isHidden: (alert) => alert !== 'store',
  };
}

/** When a cause that nobody was told of yet was first seen, and what it has cost since. */
export type Waiting = Labels & { sinceMs: number; events: number };
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
