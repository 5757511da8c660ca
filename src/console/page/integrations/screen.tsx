import './screen.css';
import { useState } from 'preact/hooks';
import { fields } from '../service/fields.ts';
import { readIntegration, readVendor } from '../service/integration.ts';
import { overview } from '../service/overview.ts';
import { useAnswer } from '../service/use-answer.ts';
import { announce } from '../shell/announcer.tsx';
import { Button } from '../widgets/button.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { AuditLog } from './audit-log.tsx';
import { InstallForm } from './install-form.tsx';
import { IntegrationCard } from './integration-card.tsx';
import { VendorCard } from './vendor-card.tsx';

export function IntegrationsScreen() {
  const [isInstalling, setInstalling] = useState(false);
  const states = overview.value?.installations
    .map(({ id, status, hold }) => `${id} ${status} ${hold?.reason}`)
    .join(',');
  const list = useAnswer('/v1/admin/integrations', (body) => fields(body).list('data', readIntegration), [states]);
  const catalog = useAnswer('/v1/admin/integration-catalog/intercom', (body) => readVendor(fields(body)));
  const integrations = list.answer;
  const vendor = catalog.answer;
  const failure = list.failure ?? catalog.failure;
  const [changes, setChanges] = useState(0);

  function reload(): void {
    list.again();
    setChanges(changes + 1);
    if (!vendor) catalog.again();
  }

  const isEmpty = integrations?.length === 0;
  return (
    <>
      <div class="screen-head">
        <div>
          <h1>Integrations</h1>
          <p>The Intercom workspaces that events are sent to. Each has its own address, quota and queue.</p>
        </div>
        {vendor && !isEmpty && !isInstalling && (
          <Button kind="primary" onClick={() => setInstalling(true)}>
            Install another workspace
          </Button>
        )}
      </div>
      {failure && (
        <FailureNotice
          what="The integrations could not be read"
          failure={failure}
          actions={<Button onClick={reload}>Try again</Button>}
        />
      )}
      {vendor && isInstalling && (
        <InstallForm
          vendor={vendor}
          suggestedName={freeName(vendor.name, integrations?.map(({ name }) => name) ?? [])}
          onClose={() => setInstalling(false)}
          onInstalled={(installed) => {
            setInstalling(false);
            announce(`${installed.name} is installed`);
            reload();
          }}
        />
      )}
      {integrations?.map((integration) => (
        <IntegrationCard key={integration.id} integration={integration} onChange={reload} />
      ))}
      {vendor && !isInstalling && (
        <VendorCard vendor={vendor} isInstalled={!isEmpty} onInstall={() => setInstalling(true)} />
      )}
      {integrations && <AuditLog version={changes} />}
    </>
  );
}

/** Names are given once. */
function freeName(name: string, taken: readonly string[]): string {
  let free = name;
  for (let n = 2; taken.includes(free); n += 1) free = `${name} ${n}`;
  return free;
}
