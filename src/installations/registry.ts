import type { Region } from '../config/regions.ts';
import type { Target } from '../delivery.ts';
import type { Preflight } from '../intercom/preflight.ts';
import type { AuditEntry } from '../queue/queue.ts';
import {
  defaultInstallation,
  type Installation,
  type InstalledOptions,
  openInstalled,
  stopAfterPauseMs,
} from './installed.ts';
import { newId } from './new-id.ts';
import { InstallationError, refusals } from './refusal.ts';
import { changesBetween, endOf, type Settings } from './settings.ts';

/** The installations of this process: the environment's, called `default`, and those made over HTTP. */
export type Installations = {
  list(): Installation[];
  get(id: string): Installation | undefined;
  /** The one that /ingest without a name feeds: the default, or the only one. */
  forIngest(): Installation | undefined;
  install(wanted: Wanted, who: Who): Promise<Installation>;
  change(id: string, wanted: Partial<Wanted>, who: Who): Promise<Installation>;
  pause(id: string, who: Who): Promise<Installation>;
  resume(id: string, who: Who): Promise<Installation>;
  check(id: string, who: Who): Promise<Installation>;
  /** Refused while events wait for it, unless they are to be discarded (filtered, and said to be). */
  remove(id: string, discard: boolean, who: Who): Promise<void>;
  wake(id: string | null): void;
  stop(graceMs: number): Promise<void>;
};

/** Where several replicas have the same installations. */
export type SharedInstallations = {
  /** Runs `work` while none of the others runs any. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  /** Calls `take` when what is stored may be another than what was taken last. */
  onChange(take: () => Promise<void>): void;
  /** Resolves once the others have taken what is stored; of one that does not, no more than a few seconds are waited. */
  taken(): Promise<void>;
};

export type Wanted = { name: string; variant: string; region: Region; accessToken: string };

/** Who asked for a change, for the audit log. */
export type Who = { ipAddress: string; userAgent: string };

/** Who ends a removal that another replica has begun. */
const nobody: Who = { ipAddress: '', userAgent: 'signal-intercom' };

export async function openInstallations(
  options: Omit<InstalledOptions, 'now'> & {
    tryOut(target: Target): Promise<Preflight>;
    shared?: SharedInstallations | undefined;
    now?: () => number;
  },
): Promise<Installations> {
  const { queue, vault, shared, now = Date.now } = options;
  const installed = await openInstalled({ ...options, now });
  /** One change at a time: two must not both see the name free, or overwrite each other's revision. */
  let turn: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = shared ? () => shared.exclusive(() => installed.takeStored().then(endRemovals).then(work)) : work;
    const mine = turn.then(run, run);
    turn = mine.catch(() => undefined);
    return mine;
  }

  /** Of replicas that died in the middle of one: as long as they live, they let nobody else change anything. */
  async function endRemovals(): Promise<void> {
    for (const [id, settings] of await installed.readStored()) {
      if (!settings.isLeaving) continue;
      await queue.removeInstallation(id, entry('integration.removed', id, changesBetween(settings, null), nobody));
    }
  }

  async function keep(
    { id, settings: before, delivery }: Installation,
    after: Settings,
    action: string,
    who: Who,
  ): Promise<Installation> {
    const settings = { ...after, updatedAtMs: now() };
    await queue.keepInstallation(
      id,
      JSON.stringify(settings),
      entry(action, id, changesBetween(before, settings), who),
    );
    return installed.set({ id, settings, delivery });
  }

  function entry(action: string, resource: string, changes: object, { ipAddress, userAgent }: Who): AuditEntry {
    return { atMs: now(), action, resource, changes: JSON.stringify(changes), ipAddress, userAgent };
  }

  function known(id: string): Installation {
    const found = installed.get(id);
    if (!found) throw new InstallationError(refusals.unknown(id));
    return found;
  }

  function requireFreeName(name: string, id?: string): void {
    for (const other of installed.list())
      if (other.id !== id && other.settings.name === name)
        throw new InstallationError(refusals.nameTaken(name, other.id));
  }

  async function requireWell(target: Target): Promise<Settings['workspace']> {
    const answer = await options.tryOut(target);
    if (answer.ok) return answer.workspace;
    throw new InstallationError(refusals.notWell(answer));
  }

  async function install(wanted: Wanted, who: Who): Promise<Installation> {
    requireFreeName(wanted.name);
    const workspace = await requireWell(installed.targetOf(wanted.accessToken, wanted.region));
    const id = newId('int');
    const atMs = now();
    const settings: Settings = {
      name: wanted.name,
      variant: wanted.variant,
      deliveryMode: 'server_side',
      managedBy: 'api',
      region: wanted.region,
      sealedToken: vault.seal(wanted.accessToken, id),
      tokenEnd: endOf(wanted.accessToken),
      enabled: true,
      revision: { id: newId('rev'), number: 1, createdAtMs: atMs },
      workspace,
      createdAtMs: atMs,
      updatedAtMs: atMs,
    };
    const audit = entry('integration.installed', id, changesBetween(null, settings), who);
    await queue.keepInstallation(id, JSON.stringify(settings), audit);
    const made = installed.get(id) ?? installed.add(id, settings, wanted.accessToken);
    await made.delivery.check();
    return made;
  }

  async function change(id: string, wanted: Partial<Wanted>, who: Who): Promise<Installation> {
    const before = known(id);
    const { settings, delivery } = before;
    if (wanted.name !== undefined) requireFreeName(wanted.name, id);
    const named = { ...settings, name: wanted.name ?? settings.name };
    if (wanted.accessToken === undefined && wanted.region === undefined)
      return keep(before, named, 'integration.changed', who);
    if (settings.managedBy === 'environment') throw new InstallationError(refusals.changedByEnvironment);
    const region = wanted.region ?? settings.region;
    const accessToken = wanted.accessToken ?? installed.tokenOf(id, settings);
    const target = installed.targetOf(accessToken, region);
    const workspace = await requireWell(target);
    const kept = await keep(
      before,
      {
        ...named,
        region,
        workspace,
        sealedToken: vault.seal(accessToken, id),
        tokenEnd: endOf(accessToken),
        revision: { id: newId('rev'), number: settings.revision.number + 1, createdAtMs: now() },
      },
      'integration.changed',
      who,
    );
    delivery.retarget(target);
    await delivery.check();
    return kept;
  }

  async function setEnabled(id: string, enabled: boolean, who: Who): Promise<Installation> {
    const before = known(id);
    const kept =
      before.settings.enabled === enabled
        ? before
        : await keep(
            before,
            { ...before.settings, enabled },
            enabled ? 'integration.resumed' : 'integration.paused',
            who,
          );
    if (enabled) kept.delivery.resume();
    else kept.delivery.pause();
    return kept;
  }

  async function check(id: string, who: Who): Promise<Installation> {
    const { delivery, settings } = known(id);
    await delivery.check();
    const state = delivery.gate();
    await queue.keepAudit(
      entry('integration.checked', id, { result: { old: null, new: state.open ? 'ok' : state.reason } }, who),
    );
    const workspace = delivery.workspace() ?? settings.workspace;
    return installed.set({ id, settings: { ...settings, workspace }, delivery });
  }

  async function remove(id: string, discard: boolean, who: Who): Promise<void> {
    const { settings, delivery } = known(id);
    if (settings.managedBy === 'environment') throw new InstallationError(refusals.removedByEnvironment);
    const { queued } = await queue.stats(id);
    if (queued > 0 && !discard) throw new InstallationError(refusals.eventsQueued(queued));
    installed.beginRemoval(id);
    try {
      if (shared) await queue.keepInstallation(id, JSON.stringify({ ...settings, isLeaving: true }), null);
      installed.drop(id);
      await Promise.all([delivery.stop(stopAfterPauseMs), shared?.taken()]);
      await queue.removeInstallation(id, entry('integration.removed', id, changesBetween(settings, null), who));
    } finally {
      installed.endRemoval(id);
    }
  }

  shared?.onChange(installed.takeStored);

  return {
    list: installed.list,
    get: installed.get,
    forIngest: () => installed.get(defaultInstallation) ?? onlyOne(installed.list()),
    install: (wanted, who) => inTurn(() => install(wanted, who)),
    change: (id, wanted, who) => inTurn(() => change(id, wanted, who)),
    pause: (id, who) => inTurn(() => setEnabled(id, false, who)),
    resume: (id, who) => inTurn(() => setEnabled(id, true, who)),
    check: (id, who) => inTurn(() => check(id, who)),
    remove: (id, discard, who) => inTurn(() => remove(id, discard, who)),
    wake(id) {
      if (id === null) for (const { delivery } of installed.list()) delivery.wake();
      else installed.get(id)?.delivery.wake();
    },
    stop: installed.stop,
  };
}

const onlyOne = (list: Installation[]): Installation | undefined => (list.length === 1 ? list[0] : undefined);
