import { randomBytes } from 'node:crypto';
import type { Region } from '../config.ts';
import type { AuditEntry, Queue } from '../queue/queue.ts';
import type { Delivery, Target } from '../delivery.ts';
import type { Preflight } from '../intercom/preflight.ts';
import { changesBetween, endOf, Settings } from './settings.ts';
import type { Vault } from './vault.ts';

/** An installed workspace: what is configured of it, and its delivery at work. */
export type Installation = { id: string; settings: Settings; delivery: Delivery };

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

export type Refusal = {
  status: 404 | 409 | 422 | 502;
  code: string;
  message: string;
  field?: string;
  details?: { field: string; message: string }[];
};

/** A management action that can't be done; the message says what to change. */
export class InstallationError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'InstallationError';
    this.refusal = refusal;
  }
}

export const defaultInstallation = 'default';

/** None of the keys opens the stored one: the delivery holds and says so. */
const unreadableToken = '';
const stopAfterPauseMs = 10_000;
/** Who ends a removal that another replica has begun. */
const nobody: Who = { ipAddress: '', userAgent: 'signal-intercom' };

export async function openInstallations(options: {
  queue: Queue;
  vault: Vault;
  environment: { accessToken: string; region: Region | null } | null;
  urlOf(region: Region | null): string;
  open(installation: string, target: Target, isPaused: boolean): Delivery;
  tryOut(target: Target): Promise<Preflight>;
  shared?: SharedInstallations | undefined;
  now?: () => number;
}): Promise<Installations> {
  const { queue, vault, environment, shared } = options;
  const now = options.now ?? Date.now;
  const installed = new Map<string, Installation>();
  /** Those that this process is removing. */
  const leaving = new Set<string>();
  /** How often `installed` was changed by what was asked of this process. */
  let revisions = 0;
  let isStopped = false;
  /** One change at a time: two must not both see the name free, or overwrite each other's revision. */
  let turn: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = shared ? () => shared.exclusive(() => takeStored().then(endRemovals).then(work)) : work;
    const mine = turn.then(run, run);
    turn = mine.catch(() => undefined);
    return mine;
  }

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

  /** Takes over what other replicas have stored; what this one is changing meanwhile is read again. */
  async function takeStored(): Promise<void> {
    let stored: Map<string, Settings>;
    let asOf: number;
    do {
      asOf = revisions;
      stored = await readStored();
    } while (asOf !== revisions);
    if (isStopped) return;
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
      void delivery.stop(stopAfterPauseMs);
    }
  }

  /** Of replicas that died in the middle of one: as long as they live, they let nobody else change anything. */
  async function endRemovals(): Promise<void> {
    for (const [id, settings] of await readStored()) {
      if (!settings.isLeaving) continue;
      await queue.removeInstallation(id, entry('integration.removed', id, changesBetween(settings, null), nobody));
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
    return set({ id, settings, delivery });
  }

  function entry(action: string, resource: string, changes: object, { ipAddress, userAgent }: Who): AuditEntry {
    return { atMs: now(), action, resource, changes: JSON.stringify(changes), ipAddress, userAgent };
  }

  function known(id: string): Installation {
    const found = installed.get(id);
    if (found) return found;
    throw new InstallationError({
      status: 404,
      code: 'NOT_FOUND',
      message: `no integration ${id.slice(0, 40)} is installed; GET /v1/admin/integrations lists them`,
    });
  }

  function requireFreeName(name: string, id?: string): void {
    for (const other of installed.values()) {
      if (other.id === id || other.settings.name !== name) continue;
      throw new InstallationError({
        status: 409,
        code: 'DUPLICATE_NAME',
        message: `an integration named "${name}" is installed already (${other.id}): choose another name, or change that one with PATCH /v1/admin/integrations/${other.id}`,
        field: 'name',
      });
    }
  }

  async function requireWell(target: Target): Promise<Settings['workspace']> {
    const answer = await options.tryOut(target);
    if (answer.ok) return answer.workspace;
    const isTheirs = answer.reason === 'unreachable';
    throw new InstallationError({
      status: isTheirs ? 502 : 422,
      code: isTheirs ? 'INTERCOM_UNREACHABLE' : answer.reason.toUpperCase(),
      message: `${answer.message}: ${answer.remedy}`,
      field: answer.reason === 'wrong_region' ? 'config.region' : 'config.access_token',
    });
  }

  async function install(wanted: Wanted, who: Who): Promise<Installation> {
    requireFreeName(wanted.name);
    const workspace = await requireWell(targetOf(wanted.accessToken, wanted.region));
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
    const made = installed.get(id) ?? add(id, settings, wanted.accessToken);
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
    if (settings.managedBy === 'environment') {
      throw new InstallationError({
        status: 409,
        code: 'MANAGED_BY_ENVIRONMENT',
        message:
          'this integration is configured by INTERCOM_ACCESS_TOKEN and INTERCOM_REGION: change them and restart the service, or install a second one',
        field: 'config',
      });
    }
    const region = wanted.region ?? settings.region;
    const accessToken = wanted.accessToken ?? vault.open(settings.sealedToken ?? '', id) ?? unreadableToken;
    const target = targetOf(accessToken, region);
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
    return keepWorkspace(id, settings, delivery);
  }

  function keepWorkspace(id: string, settings: Settings, delivery: Delivery): Installation {
    return set({ id, settings: { ...settings, workspace: delivery.workspace() ?? settings.workspace }, delivery });
  }

  async function remove(id: string, discard: boolean, who: Who): Promise<void> {
    const { settings, delivery } = known(id);
    if (settings.managedBy === 'environment') {
      throw new InstallationError({
        status: 409,
        code: 'MANAGED_BY_ENVIRONMENT',
        message:
          'this integration is configured by INTERCOM_ACCESS_TOKEN: unset it and restart the service to remove it',
      });
    }
    const { queued } = await queue.stats(id);
    if (queued > 0 && !discard) {
      throw new InstallationError({
        status: 409,
        code: 'EVENTS_QUEUED',
        message: `${queued} events wait for this integration: wait until they are delivered, or remove it with ?discard=true, which filters them as installation_removed`,
      });
    }
    leaving.add(id);
    try {
      if (shared) await queue.keepInstallation(id, JSON.stringify({ ...settings, isLeaving: true }), null);
      revisions += 1;
      installed.delete(id); // nothing is accepted for it any more
      await Promise.all([delivery.stop(stopAfterPauseMs), shared?.taken()]);
      await queue.removeInstallation(id, entry('integration.removed', id, changesBetween(settings, null), who));
    } finally {
      leaving.delete(id);
    }
  }

  await load();
  shared?.onChange(takeStored);

  return {
    list: () => [...installed.values()],
    get: (id) => installed.get(id),
    forIngest: () =>
      installed.get(defaultInstallation) ?? (installed.size === 1 ? [...installed.values()][0] : undefined),
    install: (wanted, who) => inTurn(() => install(wanted, who)),
    change: (id, wanted, who) => inTurn(() => change(id, wanted, who)),
    pause: (id, who) => inTurn(() => setEnabled(id, false, who)),
    resume: (id, who) => inTurn(() => setEnabled(id, true, who)),
    check: (id, who) => inTurn(() => check(id, who)),
    remove: (id, discard, who) => inTurn(() => remove(id, discard, who)),
    wake(id) {
      if (id === null) for (const { delivery } of installed.values()) delivery.wake();
      else installed.get(id)?.delivery.wake();
    },
    async stop(graceMs) {
      isStopped = true;
      await Promise.all([...installed.values()].map(({ delivery }) => delivery.stop(graceMs)));
    },
  };
}

const newId = (prefix: 'int' | 'rev'): string => `${prefix}_${randomBytes(8).toString('hex')}`;
