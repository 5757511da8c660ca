import { setTimeout as delay } from 'node:timers/promises';
import { request } from 'undici';
import type { Notice } from './alerts.ts';

/** Brings notices to a webhook, one after the other, so that no end overtakes its beginning. */
export type Webhook = {
  send(notice: Notice): void;
  /** Gives what is under way `graceMs`, and leaves the rest. */
  close(graceMs: number): Promise<void>;
};

export type WebhookOptions = {
  url: string;
  onResult(result: { ok: true } | { ok: false; reason: string; notice: Notice }): void;
  timeoutMs?: number;
  /** The waits between the attempts. */
  retryAfterMs?: number[];
};

const defaultTimeoutMs = 10_000;
const defaultRetryAfterMs = [1000, 5000, 30_000];
/** Of notices that wait for a receiver that is down; the oldest are given up. */
const mostWaiting = 100;

export function createWebhook(options: WebhookOptions): Webhook {
  const { url, onResult, timeoutMs = defaultTimeoutMs, retryAfterMs = defaultRetryAfterMs } = options;
  const ending = new AbortController();
  const waiting: Notice[] = [];
  let running: Promise<void> | undefined;

  async function drain(): Promise<void> {
    for (let notice = waiting.shift(); notice; notice = waiting.shift()) {
      const reason = await deliver(notice);
      if (ending.signal.aborted) return;
      onResult(reason === null ? { ok: true } : { ok: false, reason, notice });
    }
    running = undefined;
  }

  /** Null when it was taken, else why not. */
  async function deliver(notice: Notice): Promise<string | null> {
    const body = JSON.stringify(describe(notice));
    for (let attempt = 0; ; attempt += 1) {
      const failure = await post(body);
      if (failure === null) return null;
      const waitMs = retryAfterMs[attempt];
      if (failure.isFinal || waitMs === undefined || ending.signal.aborted) return failure.reason;
      await delay(waitMs, undefined, { signal: ending.signal }).catch(() => {});
    }
  }

  async function post(body: string): Promise<{ reason: string; isFinal: boolean } | null> {
    try {
      const response = await request(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': 'signal-intercom' },
        body,
        reset: true, // months may pass until the next one
        signal: AbortSignal.any([ending.signal, AbortSignal.timeout(timeoutMs)]),
      });
      await response.body.dump();
      const { statusCode: status } = response;
      if (status >= 200 && status < 300) return null;
      if (status < 400) return { reason: `it answers ${status}, a redirect, which is not followed`, isFinal: true };
      return { reason: `it answers ${status}`, isFinal: status < 500 && status !== 408 && status !== 429 };
    } catch (error) {
      return { reason: reasonOf(error), isFinal: false };
    }
  }

  return {
    send(notice) {
      if (ending.signal.aborted) return;
      if (waiting.length === mostWaiting) {
        const dropped = waiting.shift();
        if (dropped) onResult({ ok: false, reason: 'too many wait for the receiver', notice: dropped });
      }
      waiting.push(notice);
      running ??= drain();
    },
    async close(graceMs) {
      const timer = setTimeout(() => ending.abort(), graceMs);
      await running;
      clearTimeout(timer);
      ending.abort();
    },
  };
}

const titles: Record<Notice['alert'], string> = {
  hold: 'Delivery to Intercom is on hold',
  dead_letters: 'Intercom refuses events for good',
  backlog: 'Events wait too long',
  silence: 'No events arrive',
  store: "Events can't be stored",
};

/** `text` is what Slack and its like show, `content` what Discord shows; the rest is for programs. */
function describe(notice: Notice): Record<string, unknown> {
  const { alert, state, installation, reason, sinceMs, atMs, message, remedy, events } = notice;
  const since = new Date(sinceMs).toISOString();
  const where = installation === null ? '' : ` (installation ${installation})`;
  const count = events === 0 ? '' : ` Events: ${events}.`;
  const text =
    state === 'firing'
      ? `[firing] ${titles[alert]}${where}: ${message}.${count} What to do: ${remedy}. Since ${since}`
      : `[resolved] ${titles[alert]}${where}: no longer, after ${duration(atMs - sinceMs)}. It was: ${message}.${count}`;
  return {
    text,
    content: text,
    alert,
    state,
    installation,
    reason,
    since,
    at: new Date(atMs).toISOString(),
    message,
    remedy,
    ...(events > 0 && { events }),
  };
}

function duration(ms: number): string {
  const minutes = Math.round(ms / 60_000);
  return minutes < 1 ? 'less than a minute' : minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** The address may hold a secret, and is in none of these. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'it does not answer in time';
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  if (error instanceof AggregateError) return reasonOf(error.errors[0]);
  return 'the request fails';
}
