import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import type { Region } from './config/regions.ts';
import { type AttemptReport, createDispatcher, type DispatcherOptions } from './dispatch/dispatcher.ts';
import { createGate, type Gate, type GateOptions, type GateState } from './dispatch/gate.ts';
import { createSharedGate, type GateStore } from './dispatch/shared-gate.ts';
import { createIntercomClient, type IntercomTarget } from './intercom/client.ts';
import { createDestination, type Destination } from './intercom/destination.ts';
import { checkInstallation, holdTexts, type Preflight } from './intercom/preflight.ts';
import type { QuotaPool } from './intercom/quota-pool.ts';
import { createRateLimiter, type RateLimiter } from './intercom/rate-limiter.ts';
import type { EventState, Queue } from './queue/queue.ts';

/** One installation at work: its own quota, connections, gate and dispatcher, opened and closed together. */
export type Delivery = {
  gate(): GateState;
  quota(): ReturnType<RateLimiter['state']>;
  /** Where its events go; for who asks what would be sent. */
  destination: Pick<Destination, 'rehearse'>;
  /** Whose workspace it is, once Intercom has told. */
  workspace(): Workspace | null;
  isPaused(): boolean;
  pause(): void;
  resume(): void;
  /** From the next call on another token or region; whether it is well is asked at once. */
  retarget(target: Target): void;
  /** Asks Intercom now, and opens or closes the gate by the answer. */
  check(): Promise<GateState>;
  /** The queue has something for this installation. */
  wake(): void;
  stop(graceMs: number): Promise<void>;
};

export type Target = IntercomTarget & { region: Region | null };
export type Workspace = { id: string; name: string; region: string | null };

export type DeliveryOptions = {
  installation: string;
  target: Target;
  isPaused: boolean;
  /** Whether this process sends; one that does not can still rehearse, and check a token. */
  sends: boolean;
  config: Config;
  queue: Queue;
  log: Logger;
  mayStillSend: DispatcherOptions['mayStillSend'];
  onSettled(states: EventState[]): void;
  onAttempt(attempt: AttemptReport): void;
  onPostponed: DispatcherOptions['onPostponed'];
  /** What this process shares with other replicas that deliver for the same installation. */
  shared?: { quota: QuotaPool; gate: GateStore } | undefined;
};

export function openDelivery(options: DeliveryOptions): Delivery {
  const { installation, sends, config, queue, log, shared } = options;
  let { target, isPaused } = options;
  let workspace: Workspace | null = null;
  let isStarted = false;
  let hasAsked = false;
  const ending = new AbortController();
  const limiter = createRateLimiter({ share: config.quotaShare, pool: shared?.quota });
  const client = createIntercomClient({
    target: () => target,
    version: config.intercomVersion,
    connections: config.concurrency + 1, // one for the probe
    limiter,
  });
  const destination = createDestination({
    client,
    mapping: { eventNaming: config.eventNaming, rules: config.mappingRules },
    createAttributes: config.createAttributes,
  });
  const gateOptions: GateOptions = {
    probe: async () => {
      const patience = { stop: ending.signal, abort: ending.signal };
      if (target.accessToken === '') return { ok: false, reason: 'token_unreadable', ...unreadable };
      const answer = await checkInstallation(client, target.region, patience);
      if (!answer.ok) return answer;
      ({ workspace } = answer);
      log.info({ installation, workspace }, 'intercom.ready');
      await destination.prepare(patience);
      return answer;
    },
    explain: explainHold,
    onChange: (state) => {
      if (state.open) dispatcher.wake();
      else announceHold(state);
    },
  };
  const gate: Gate = shared
    ? createSharedGate({ ...gateOptions, store: shared.gate, target: () => fingerprint(target) })
    : createGate(gateOptions);
  const dispatcher = createDispatcher({
    installation,
    queue,
    destination,
    gate: { ...gate, isOpen: () => !isPaused && gate.isOpen() },
    concurrency: config.concurrency,
    retryMaxAgeMs: config.retryMaxAgeMs,
    mayStillSend: options.mayStillSend,
    onSettled: options.onSettled,
    onAttempt: options.onAttempt,
    onPostponed: options.onPostponed,
  });

  function announceHold({ reason, message, remedy }: GateState & { open: false }): void {
    log.error({ installation, reason, message, remedy }, 'delivery.held: events are kept, none is sent');
  }

  function start(): void {
    if (isStarted || !sends) return;
    isStarted = true;
    gate.start();
    dispatcher.start();
  }

  if (!isPaused) start();

  return {
    // Who does not send, and has not asked, knows of no hold.
    gate: () => (sends || hasAsked ? gate.state() : { open: true }),
    quota: limiter.state,
    destination,
    workspace: () => workspace,
    isPaused: () => isPaused,
    pause() {
      isPaused = true;
    },
    resume() {
      isPaused = false;
      start();
      dispatcher.wake();
    },
    retarget(next) {
      target = next;
      workspace = null;
    },
    async check() {
      hasAsked = true;
      await gate.ask();
      return gate.state();
    },
    wake: dispatcher.wake,
    async stop(graceMs) {
      gate.stop();
      await dispatcher.stop(graceMs);
      ending.abort();
      await client.close();
    },
  };
}

/** Of a token and where it is used; the token can't be told from it. */
function fingerprint({ baseUrl, region, accessToken }: Target): string {
  return createHash('sha256')
    .update(JSON.stringify([baseUrl, region, accessToken]))
    .digest('hex')
    .slice(0, 32);
}

const unreadable = {
  message:
    'the stored access token can not be decrypted: ENCRYPTION_KEY, or the key file beside the database, is another one than it was stored with',
  remedy: 'give the former key too (ENCRYPTION_KEY=new,former), or enter the access token anew',
};

const tryOutMs = 10_000;

/**
 * Whether Intercom accepts a token in its region, before anything of it is stored. A refused one is tried `elsewhere`
 * too, since the refusal does not say that it is of another region.
 */
export async function tryOut(
  target: Target,
  version: string,
  elsewhere: { region: string; baseUrl: string }[],
): Promise<Preflight> {
  const answer = await ask(target, target.region, version);
  if (answer.ok || answer.reason !== 'token_invalid') return answer;
  for (const { region, baseUrl } of elsewhere) {
    if (region === target.region || !(await ask({ ...target, baseUrl }, null, version)).ok) continue;
    return {
      ok: false,
      reason: 'wrong_region',
      message: `the workspace of this access token is hosted in the region ${region}`,
      remedy: `choose the region ${region}`,
    };
  }
  return answer;
}

async function ask(target: IntercomTarget, region: Region | null, version: string): Promise<Preflight> {
  const client = createIntercomClient({
    target: () => target,
    version,
    connections: 1,
    limiter: createRateLimiter({ share: 1 }),
    timeoutMs: tryOutMs,
  });
  const signal = AbortSignal.timeout(tryOutMs);
  try {
    return await checkInstallation(client, region, { stop: signal, abort: signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    return {
      ok: false,
      reason: 'unreachable',
      message: `Intercom did not answer within ${tryOutMs / 1000} s`,
      remedy: 'check the network and status.intercom.com, then try again',
    };
  } finally {
    await client.close();
  }
}

/** Reasons of Intercom's own, and those of a circuit that opened after failures in a row. */
function explainHold(reason: string): { message: string; remedy: string } {
  const known: Record<string, { message: string; remedy: string } | undefined> = holdTexts;
  return (
    known[reason] ?? {
      message: `Intercom fails again and again (${reason})`,
      remedy: 'nothing is lost and delivery resumes by itself; see status.intercom.com if it lasts',
    }
  );
}
