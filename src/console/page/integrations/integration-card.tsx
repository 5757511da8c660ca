import { useState } from 'preact/hooks';
import { type Check, type Integration, readCheck } from '../service/integration.ts';
import { ask, type Failure, sentence } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { WebhookSettings } from '../events/first-steps.tsx';
import { Button, CopyButton } from '../widgets/button.tsx';
import { FailureNotice, Notice } from '../widgets/notice.tsx';
import { Status } from '../widgets/status.tsx';
import { Ago, Time } from '../widgets/time.tsx';
import { RemoveDialog } from './remove-dialog.tsx';
import { TokenDialog } from './token-dialog.tsx';

const regions: Record<string, string> = { us: 'United States', eu: 'Europe', au: 'Australia' };

export function IntegrationCard({ integration, onChange }: { integration: Integration; onChange(): void }) {
  const { id, name, status, hold, workspace, isManagedByEnvironment } = integration;
  const [busy, setBusy] = useState<string | null>(null);
  const [check, setCheck] = useState<Check | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [dialog, setDialog] = useState<'token' | 'remove' | null>(null);
  const path = `/v1/admin/integrations/${encodeURIComponent(id)}`;
  const ingestUrl = location.origin + integration.ingestPath;
  const isPaused = status === 'paused';

  async function run(action: 'check' | 'pause' | 'resume'): Promise<void> {
    setBusy(action);
    setFailure(null);
    const reply = await ask(`${path}/${action}`, { method: 'POST' });
    setBusy(null);
    if (!reply.ok) setFailure(reply.failure);
    else if (action === 'check') setCheck(readCheck(reply.body));
    else announce(action === 'pause' ? `${name} is paused` : `${name} is resumed`);
    onChange();
  }

  return (
    <section class="card integration" aria-labelledby={`integration-${id}`}>
      <div class="integration-head">
        <div class="row">
          <h2 id={`integration-${id}`}>{name}</h2>
          <Status of={status} />
        </div>
        <div class="row">
          <Button isBusy={busy === 'check'} onClick={() => void run('check')}>
            {busy === 'check' ? 'Checking…' : 'Check'}
          </Button>
          <Button
            icon={isPaused ? 'play' : 'hold'}
            isBusy={busy === 'pause' || busy === 'resume'}
            onClick={() => void run(isPaused ? 'resume' : 'pause')}
          >
            {isPaused ? 'Resume' : 'Pause'}
          </Button>
          {!isManagedByEnvironment && (
            <>
              {status !== 'held' && <Button onClick={() => setDialog('token')}>Change token</Button>}
              <Button kind="danger" onClick={() => setDialog('remove')}>
                Remove
              </Button>
            </>
          )}
        </div>
      </div>
      {hold && status === 'held' && (
        <Notice
          tone="warn"
          title={<>On hold: {sentence(hold.message)}</>}
          actions={
            isManagedByEnvironment ? null : (
              <Button kind="primary" onClick={() => setDialog('token')}>
                Change token
              </Button>
            )
          }
        >
          <p>
            {sentence(hold.remedy)}
            {hold.sinceMs !== null && (
              <span class="muted">
                {' '}
                Since <Ago ms={hold.sinceMs} />; events are kept meanwhile.
              </span>
            )}
          </p>
        </Notice>
      )}
      {isPaused && (
        <Notice tone="wait" title="Paused: events are accepted and kept, and none is sent until you resume." />
      )}
      {check && <CheckResult check={check} />}
      {failure && <FailureNotice what="That did not work" failure={failure} />}
      <dl class="integration-facts">
        <div>
          <dt>Workspace</dt>
          <dd>{workspace?.name ?? <span class="muted">not known yet</span>}</dd>
        </div>
        <div>
          <dt>Region</dt>
          <dd>{regions[integration.region ?? ''] ?? integration.region ?? '–'}</dd>
        </div>
        <div>
          <dt>Access token</dt>
          <dd>
            <code>{integration.maskedToken ?? '***'}</code>
          </dd>
        </div>
        <div>
          <dt>Configured</dt>
          <dd>
            {isManagedByEnvironment ? (
              <>by INTERCOM_ACCESS_TOKEN</>
            ) : (
              <>
                revision {integration.revision}
                {integration.updatedAtMs !== null && (
                  <>
                    , <Time ms={integration.updatedAtMs} />
                  </>
                )}
              </>
            )}
          </dd>
        </div>
      </dl>
      <div class="ingest-url">
        <span class="muted">Events for it go to</span>
        <code>{ingestUrl}</code>
        <CopyButton text={ingestUrl} what="address" />
      </div>
      <details class="webhook">
        <summary>Settings for Signal's Custom Webhook</summary>
        <WebhookSettings url={ingestUrl} />
      </details>
      {dialog === 'token' && (
        <TokenDialog integration={integration} onClose={() => setDialog(null)} onChange={onChange} />
      )}
      {dialog === 'remove' && (
        <RemoveDialog integration={integration} onClose={() => setDialog(null)} onChange={onChange} />
      )}
    </section>
  );
}

function CheckResult({ check }: { check: Check }) {
  if (check.ok)
    return (
      <Notice
        tone="good"
        title={`Intercom accepts the token: workspace ${check.workspace}${check.region === '' ? '' : `, ${regions[check.region] ?? check.region}`}`}
      />
    );
  return (
    <Notice tone="bad" title={sentence(check.message)}>
      <p>{sentence(check.remedy)}</p>
    </Notice>
  );
}
