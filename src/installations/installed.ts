import type { Region } from '../config/regions.ts';
import type { Delivery, Target } from '../delivery.ts';
import { newId } from './new-id.ts';
import { type Queue, QueueUnavailable } from '../queue/queue.ts';
import { endOf, Settings } from './settings.ts';
import type { Vault } from './vault.ts';

/** An installed workspace: what is configured of it, and its delivery at work. */
export type Installation = { id: string; settings: Settings; delivery: Delivery };

/** What this process has installed: as the environment and the store have it, and a change before it is stored. */
export type Installed = {
  list(): Installation[];
  get(id: string): Installation | undefined;
  add(id: string, settings: Settings, accessToken: string): Installation;
  set(installation: Installation): Installation;
  targetOf(accessToken: string, region: Region | null): Target;
  tokenOf(id: string, settings: Settings): string;
  readStored(): Promise<Map<string, Settings>>;
  /** Takes over what other replicas have stored; what this one is changing meanwhile is read again. */
  takeStored(): Promise<void>;
  /** While this process removes it, the store has no say in it. */
  beginRemoval(id: string): void;
  endRemoval(id: string): void;
  /** Nothing is accepted for it any more. */
  drop(id: string): void;
  stop(graceMs: number): Promise<void>;
};

export type InstalledOptions = {
  queue: Queue;
  vault: Vault;
  environment: { accessToken: string; region: Region | null } | null;
  urlOf(region: Region | null): string;
  open(installation: string, target: Target, isPaused: boolean): Delivery;
  now(): number;
};

export const defaultInstallation = 'default';
export const stopAfterPauseMs = 10_000;

/** None of the keys opens the stored one: the delivery holds and says so. */
const unreadableToken = '';

export async function openInstalled(options: InstalledOptions): Promise<Installed> {
  const { queue, vault, environment, now } = options;
  const installed = new Map<string, Installation>();
  /** Those that this process is removing. */
  const leaving = new Set<string>();
  /** How often `installed` was changed by what was asked of this process. */
  let revisions = 0;
  let isStopped = false;

  function targetOf(accessToken: string, region: Region | null): Target {
    return { baseUrl: options.urlOf(region), accessToken, region };
  }

  function add(id: string, settings: Settings, accessToken: string): Installation {
    const delivery = options.open(id, targetOf(accessToken, settings.region), !settings.enabled);
    return set({ id, settings, delivery });
  }

  function set(installation: Installation): Installation {
    revisions += 1;
    installed.set(installation.id, installation);
    return installation;
  }

  async function readStored(): Promise<Map<string, Settings>> {
    const stored = await queue.installations();
    return new Map(stored.map(({ id, record }) => [id, Settings.parse(JSON.parse(record))]));
  }

  async function load(): Promise<void> {
    const stored = await readStored();
    if (environment)
      add(defaultInstallation, ofEnvironment(environment, stored.get(defaultInstallation)), environment.accessToken);
    for (const [id, settings] of stored) {
      if (settings.managedBy === 'environment') continue;
      if (settings.isLeaving) continue;
      const accessToken = tokenOf(id, settings);
      if (accessToken === unreadableToken) {
        add(id, settings, unreadableToken);
        continue;
      }
      const current = vault.isCurrent(settings.sealedToken ?? '')
        ? settings
        : { ...settings, sealedToken: vault.seal(accessToken, id) };
      if (current !== settings) await queue.keepInstallation(id, JSON.stringify(current), null);
      add(id, current, accessToken);
    }
  }

  function tokenOf(id: string, { sealedToken }: Settings): string {
    return (sealedToken === null ? null : vault.open(sealedToken, id)) ?? unreadableToken;
  }

  async function takeStored(): Promise<void> {
    let stored: Map<string, Settings>;
    let asOf: number;
    do {
      asOf = revisions;
      stored = await readStored();
    } while (asOf !== revisions);
    if (isStopped) return;
    const known = new Set(stored.keys());
    for (const [id, settings] of stored) {
      const current = installed.get(id);
      if (settings.isLeaving || leaving.has(id)) stored.delete(id);
      else if (settings.managedBy === 'environment') takeEnvironment(current, settings);
      else if (current) take(current, settings);
      else add(id, settings, tokenOf(id, settings));
    }
    for (const { id, settings, delivery } of installed.values()) {
      if (stored.has(id) || settings.managedBy === 'environment' || leaving.has(id)) continue;
      installed.delete(id);
      const stopped = delivery.stop(stopAfterPauseMs);
      if (!known.has(id)) void stopped.then(() => discard(id));
    }
  }

  /** Who learns of a removal when it is over (a process that stood still) may have accepted events since. */
  async function discard(id: string): Promise<void> {
    try {
      await queue.removeInstallation(id, null);
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) throw error;
    }
  }

  /** Another replica's environment may differ while it is changed on one after the other: only the pause is shared. */
  function takeEnvironment(current: Installation | undefined, stored: Settings): void {
    if (!current) return;
    const { name, enabled, updatedAtMs } = stored;
    take(current, { ...current.settings, name, enabled, updatedAtMs });
  }

  function take({ id, settings: before, delivery }: Installation, stored: Settings): void {
    installed.set(id, { id, settings: { ...stored, workspace: stored.workspace ?? before.workspace }, delivery });
    if (stored.revision.id !== before.revision.id) {
      delivery.retarget(targetOf(tokenOf(id, stored), stored.region));
      void delivery.check();
    }
    if (stored.enabled === before.enabled) return;
    if (stored.enabled) delivery.resume();
    else delivery.pause();
  }

  /** What was decided over HTTP (a pause) outlasts a restart; token and region are the environment's. */
  function ofEnvironment(
    given: { accessToken: string; region: Region | null },
    stored: Settings | undefined,
  ): Settings {
    const atMs = now();
    return {
      name: stored?.name ?? 'Intercom',
      variant: 'default',
      deliveryMode: 'server_side',
      managedBy: 'environment',
      region: given.region,
      sealedToken: null,
      tokenEnd: endOf(given.accessToken),
      enabled: stored?.enabled ?? true,
      revision: stored?.revision ?? { id: newId('rev'), number: 1, createdAtMs: atMs },
      workspace: null,
      createdAtMs: stored?.createdAtMs ?? atMs,
      updatedAtMs: stored?.updatedAtMs ?? atMs,
    };
  }

  await load();

  return {
    list: () => [...installed.values()],
    get: (id) => installed.get(id),
    add,
    set,
    targetOf,
    tokenOf,
    readStored,
    takeStored,
    beginRemoval: (id) => void leaving.add(id),
    endRemoval: (id) => void leaving.delete(id),
    drop(id) {
      revisions += 1;
      installed.delete(id);
    },
    async stop(graceMs) {
      isStopped = true;
      await Promise.all([...installed.values()].map(({ delivery }) => delivery.stop(graceMs)));
    },
  };
}
