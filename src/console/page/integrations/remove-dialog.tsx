import { useState } from 'preact/hooks';
import type { Integration } from '../service/integration.ts';
import { ask, type Failure } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { Button } from '../widgets/button.tsx';
import { Dialog } from '../widgets/dialog.tsx';
import { FailureNotice } from '../widgets/notice.tsx';

export function RemoveDialog({
  integration,
  onClose,
  onChange,
}: {
  integration: Integration;
  onClose(): void;
  onChange(): void;
}) {
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);

  const mayDiscard = failure?.code === 'EVENTS_QUEUED';

  async function remove(): Promise<void> {
    setBusy(true);
    const reply = await ask(
      `/v1/admin/integrations/${encodeURIComponent(integration.id)}${mayDiscard ? '?discard=true' : ''}`,
      {
        method: 'DELETE',
      },
    );
    setBusy(false);
    if (!reply.ok) {
      setFailure(reply.failure);
      return;
    }
    announce(`${integration.name} is removed`);
    onClose();
    onChange();
  }

  return (
    <Dialog
      title={`Remove ${integration.name}?`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Keep it</Button>
          <Button kind="danger" isBusy={isBusy} onClick={() => void remove()}>
            {isBusy ? 'Removing…' : mayDiscard ? 'Discard them and remove' : 'Remove'}
          </Button>
        </>
      }
    >
      <p>
        Its token is deleted, and <code>{integration.ingestPath}</code> accepts no more events. What is in Intercom
        stays there.
      </p>
      <p class="muted">To stop for a while, pause it instead: then events are kept.</p>
      {failure && <FailureNotice what="It was not removed" failure={failure} />}
    </Dialog>
  );
}
