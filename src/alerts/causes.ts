/** What the alerts look at. Nothing of it is personal. */
export type Snapshot = {
  atMs: number;
  store: { ok: true } | { ok: false; reason: string };
  installations: InstallationSnapshot[];
};

export type InstallationSnapshot = {
  id: string;
  /** `unknown` until the first check of the token has been answered. */
  gate: { kind: 'open' | 'unknown' } | ({ kind: 'held'; mendsItself: boolean } & Explained);
  /** Somebody wants it to wait. */
  isPaused: boolean;
  /** Null while the store can't tell. */
  flow: { accepted: number; queued: number; oldestQueuedAtMs: number | null } | null;
  /** Dead letters since the start of the process, by reason. */
  dead: ReadonlyMap<string, number>;
};

type Explained = { reason: string; message: string; remedy: string };

export type AlertName = 'hold' | 'dead_letters' | 'backlog' | 'silence' | 'store';

/** One reason to alert, as seen in one look. */
export type Sighting = {
  alert: AlertName;
  installation: string | null;
  reason: string | null;
  message: string;
  remedy: string;
  /** How long it has to last before anybody is told. */
  afterMs: number;
  /** How long it has to be gone before it counts as resolved. */
  lingerMs: number;
  /** Events that it has cost since the last look. */
  events: number;
};

export type Thresholds = { backlogMs: number; silenceMs: number | null };

export type View = {
  sightings: Sighting[];
  /** Whether it could not be judged this time: then it stays as it was. */
  isHidden(alert: AlertName, installation: string | null): boolean;
};

const minuteMs = 60_000;
/** An outage of Intercom's that ends within this is nobody's concern. */
const shortOutageMs = minuteMs;
/** What comes and goes is told once. */
const flappingMs = minuteMs;
const deadWindowMs = 10 * minuteMs;

/** The causes in a snapshot; `before` is the one of the look before. */
export function findCauses(
  now: Snapshot,
  before: Snapshot | undefined,
  thresholds: Thresholds,
  explainDead: (reason: string) => { cause: string; remedy: string } | null,
): View {
  const sightings = now.installations.flatMap((installation) => {
    const last = before?.installations.find(({ id }) => id === installation.id);
    return [
      ...held(installation),
      ...died(installation, last, explainDead),
      ...lags(installation, now.atMs, thresholds.backlogMs),
      ...silent(installation, last, thresholds.silenceMs),
    ];
  });
  return {
    sightings: [...broken(now.store), ...sightings],
    isHidden(alert, id) {
      const installation = now.installations.find((one) => one.id === id);
      if (!installation) return false; // it is gone, and its alerts with it
      if (alert === 'hold') return installation.gate.kind === 'unknown';
      return (alert === 'backlog' || alert === 'silence') && installation.flow === null;
    },
  };
}

function broken(store: Snapshot['store']): Sighting[] {
  if (store.ok) return [];
  return [
    {
      alert: 'store',
      installation: null,
      reason: null,
      message: `events can't be stored (${store.reason}); senders are told to come back`,
      remedy: 'make room on the disk of DATABASE_URL, or mend it; the service goes on by itself',
      afterMs: 0,
      lingerMs: flappingMs,
      events: 0,
    },
  ];
}

function held({ id, gate, isPaused }: InstallationSnapshot): Sighting[] {
  if (gate.kind !== 'held' || isPaused) return [];
  const { reason, message, remedy, mendsItself } = gate;
  const afterMs = mendsItself ? shortOutageMs : 0;
  const told = `${message}. Events are kept, none is sent`;
  return [{ alert: 'hold', installation: id, reason, message: told, remedy, afterMs, lingerMs: flappingMs, events: 0 }];
}

function died(
  { id, dead }: InstallationSnapshot,
  last: InstallationSnapshot | undefined,
  explainDead: (reason: string) => { cause: string; remedy: string } | null,
): Sighting[] {
  return [...dead].flatMap(([reason, count]): Sighting[] => {
    const events = count - (last?.dead.get(reason) ?? 0);
    if (events <= 0) return [];
    const { cause, remedy } = explainDead(reason) ?? {
      cause: reason,
      remedy: 'look at the dead letters in the console',
    };
    return [
      {
        alert: 'dead_letters',
        installation: id,
        reason,
        message: `events become dead letters: ${cause}`,
        remedy,
        afterMs: 0,
        lingerMs: deadWindowMs,
        events,
      },
    ];
  });
}

/** While an installation is held or paused its backlog is a consequence, and the cause is known. */
function lags({ id, gate, isPaused, flow }: InstallationSnapshot, nowMs: number, limitMs: number): Sighting[] {
  if (gate.kind !== 'open' || isPaused || flow === null || flow.oldestQueuedAtMs === null) return [];
  if (nowMs - flow.oldestQueuedAtMs <= limitMs) return [];
  return [
    {
      alert: 'backlog',
      installation: id,
      reason: null,
      message: `${flow.queued} events are queued, and the oldest has waited for more than ${Math.round(limitMs / minuteMs)} minutes`,
      remedy:
        'nothing is lost. If the quota is used up, ask Intercom for more or raise INTERCOM_QUOTA_SHARE; if one event is retried again and again, its attempts in the console say why',
      // Events that a login or a redrive has just brought back are old, and about to be sent.
      afterMs: minuteMs,
      lingerMs: flappingMs,
      events: 0,
    },
  ];
}

function silent(
  { id, isPaused, flow }: InstallationSnapshot,
  last: InstallationSnapshot | undefined,
  limitMs: number | null,
): Sighting[] {
  if (limitMs === null || isPaused || flow === null || !last?.flow) return [];
  if (flow.accepted > last.flow.accepted) return [];
  return [
    {
      alert: 'silence',
      installation: id,
      reason: null,
      message: `no event has been accepted for ${Math.round(limitMs / minuteMs)} minutes`,
      remedy:
        'look at the webhook in Signal (address, credentials, last answers), and in the log here for refused requests',
      afterMs: limitMs,
      lingerMs: 0,
      events: 0,
    },
  ];
}
