import { signal } from '@preact/signals';
import { type Fields, fields } from './fields.ts';
import { ask, type Failure } from './request.ts';

export type Ledger = { accepted: number; delivered: number; filtered: number; dead: number; queued: number };
export type Minute = {
  atMs: number;
  accepted: number;
  delivered: number;
  filtered: number;
  dead: number;
  retried: number;
  calls: number;
};
export type Hold = { reason: string; message: string; remedy: string; sinceMs: number | null };
export type Overview = {
  nowMs: number;
  version: string;
  ledger: Ledger;
  backlog: {
    queued: number;
    people: number;
    waiting: number;
    held: number;
    oldestReceivedAtMs: number | null;
    callsPerSecond: number;
    expectedEndAtMs: number | null;
  };
  store: { ok: boolean; reason: string | null };
  minutes: Minute[];
  saved: { merged: number; unchanged: number; knownIds: number };
  installations: {
    id: string;
    name: string;
    status: string;
    hold: Hold | null;
    quota: { limit: number | null; used: number; windowEndsAtMs: number | null; waiting: number };
  }[];
  replicas: Replica[];
};
export type Replica = {
  id: string;
  sinceMs: number | null;
  lastSeenAtMs: number | null;
  version: string;
  roles: string[];
  host: string;
};

/** The newest that is known; null before the first answer. */
export const overview = signal<Overview | null>(null);
export const overviewFailure = signal<Failure | null>(null);

const pollMs = 2000;

/** Asks again and again while the page is looked at; returns what ends it. */
export function followOverview(): () => void {
  const ending = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isAsking = false;

  async function look(): Promise<void> {
    if (isAsking) return;
    isAsking = true;
    clearTimeout(timer);
    const reply = await ask('/v1/admin/overview', { signal: ending.signal });
    isAsking = false;
    if (ending.signal.aborted) return;
    if (reply.ok) overview.value = readOverview(reply.body);
    overviewFailure.value = reply.ok ? null : reply.failure;
    if (document.visibilityState === 'visible') timer = setTimeout(() => void look(), pollMs);
  }
  const onVisible = (): void => {
    if (document.visibilityState === 'visible') void look();
  };
  document.addEventListener('visibilitychange', onVisible);
  void look();
  return () => {
    ending.abort();
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', onVisible);
  };
}

/** What the stream tells between two looks. */
export function takeLedger(body: unknown): void {
  if (overview.value === null) return;
  const item = fields(body);
  overview.value = { ...overview.value, ledger: readLedger(item.objectOrNull('ledger') ?? item) };
}

function readOverview(body: unknown): Overview {
  const item = fields(body);
  const backlog = item.object('backlog');
  const saved = item.object('saved');
  const store = item.object('store');
  return {
    nowMs: item.timeOrNull('now') ?? Date.now(),
    version: item.text('version'),
    ledger: readLedger(item.object('ledger')),
    backlog: {
      queued: backlog.number('queued'),
      people: backlog.number('people'),
      waiting: backlog.number('waiting'),
      held: backlog.number('held'),
      oldestReceivedAtMs: backlog.timeOrNull('oldestReceivedAt'),
      callsPerSecond: backlog.number('callsPerSecond'),
      expectedEndAtMs: backlog.timeOrNull('expectedEndAt'),
    },
    store: { ok: store.flag('ok'), reason: store.textOrNull('reason') },
    minutes: item.list('minutes', (minute) => ({
      atMs: minute.timeOrNull('at') ?? 0,
      accepted: minute.number('accepted'),
      delivered: minute.number('delivered'),
      filtered: minute.number('filtered'),
      dead: minute.number('dead'),
      retried: minute.number('retried'),
      calls: minute.number('calls'),
    })),
    saved: {
      merged: saved.number('merged'),
      unchanged: saved.number('unchanged'),
      knownIds: saved.number('knownIds'),
    },
    installations: item.list('installations', (installation) => {
      const quota = installation.object('quota');
      return {
        id: installation.text('id'),
        name: installation.text('name'),
        status: installation.text('status'),
        hold: readHold(installation.objectOrNull('hold')),
        quota: {
          limit: quota.numberOrNull('limit'),
          used: quota.number('used'),
          windowEndsAtMs: quota.timeOrNull('windowEndsAt'),
          waiting: quota.number('waiting'),
        },
      };
    }),
    replicas: item.list('replicas', (replica) => ({
      id: replica.text('id'),
      sinceMs: replica.timeOrNull('since'),
      lastSeenAtMs: replica.timeOrNull('lastSeenAt'),
      version: replica.text('version'),
      roles: readTexts(replica.raw('roles')),
      host: replica.text('host'),
    })),
  };
}

function readTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function readLedger(item: Fields): Ledger {
  return {
    accepted: item.number('accepted'),
    delivered: item.number('delivered'),
    filtered: item.number('filtered'),
    dead: item.number('dead'),
    queued: item.number('queued'),
  };
}

export function readHold(item: Fields | null): Hold | null {
  return (
    item && {
      reason: item.text('reason'),
      message: item.text('message'),
      remedy: item.text('remedy'),
      sinceMs: item.timeOrNull('since'),
    }
  );
}
