import { hash, randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import type { OpenAlerts } from './alerts/open.ts';
import type { Activity } from './console/activity.ts';
import type { AttemptReport } from './dispatch/dispatcher.ts';
import type { Settlements } from './dispatch/settlements.ts';
import { savingsOf } from './intercom/savings.ts';
import type { Metrics } from './metrics.ts';

/** Tells all who want to know of an attempt: one log line, metrics, the last hour, alerts, those who wait, traces. */
export function createAttemptRecorder({
  log,
  metrics,
  activity,
  alerts,
  settlements,
  traced,
}: {
  log: Logger;
  metrics: Metrics;
  activity: Activity;
  alerts: OpenAlerts;
  settlements: Settlements;
  traced(report: AttemptReport): void;
}): (report: AttemptReport) => void {
  const personKey = randomBytes(16).toString('hex');

  /** The one line of an attempt: pseudonymous, and without what was sent. */
  return (report) => {
    const { lease, step, outcome, reason, status, attempt, retryInMs } = report;
    if (outcome === 'retry' || outcome === 'hold') settlements.postpone(lease.jobs.map(({ id }) => id));
    activity.attempted({ outcome, events: step.jobs.length, calls: step.calls, saved: savingsOf(step) });
    const { installation } = lease;
    traced(report);
    metrics.attempts.inc({ installation, type: step.type, outcome, reason: reason ?? '' });
    if (outcome !== 'retry' && outcome !== 'hold')
      metrics.settled.inc({ installation, status: outcome, reason: reason ?? '' }, step.jobs.length);
    metrics.attemptSeconds.observe(step.ms / 1000);
    for (const call of step.exchange.calls) metrics.calls.inc({ installation, status: call.status ?? 'none' });
    if (outcome === 'dead') alerts.died(installation, reason ?? 'unknown', step.jobs.length);
    if (outcome === 'delivered')
      for (const job of step.jobs) metrics.delaySeconds.observe((Date.now() - job.receivedAtMs) / 1000);
    const level = outcome === 'delivered' || outcome === 'filtered' ? 'info' : 'warn';
    log[level](
      {
        event: step.jobs.at(-1)?.id,
        events: step.jobs.length,
        type: step.type,
        person: hash('sha256', `${personKey}${lease.person}`).slice(0, 12),
        installation,
        attempt,
        outcome,
        reason,
        status,
        calls: step.calls,
        ms: Math.round(step.ms),
        ...(retryInMs !== null && { retryInMs: Math.round(retryInMs) }),
        ...(step.exchange.warnings.length > 0 && { warnings: step.exchange.warnings.map(({ code }) => code) }),
      },
      'delivery.attempted',
    );
  };
}
