import { useEffect, useState } from 'preact/hooks';
import { fields } from '../service/fields.ts';
import { overview } from '../service/overview.ts';
import { ask, type Failure, sentence } from '../service/request.ts';
import { Button } from '../widgets/button.tsx';
import { Dialog } from '../widgets/dialog.tsx';
import { FailureNotice, Notice } from '../widgets/notice.tsx';
import { plural } from '../widgets/time.tsx';
import type { Redrive } from './screen.tsx';
import type { Group } from './summary.ts';

/** Counts first, since more may have died since the page was drawn. */
export function RedriveDialog({
  group,
  onClose,
  onStarted,
}: {
  group: Group;
  onClose(): void;
  onStarted(redrive: Redrive): void;
}) {
  const [matching, setMatching] = useState<number | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);
  const isHeld = overview.value?.installations.some(({ status }) => status === 'held') ?? false;

  useEffect(() => {
    async function preview(): Promise<void> {
      const reply = await ask('/events/redrive', { method: 'POST', body: { reason: group.reason, dryRun: true } });
      setFailure(reply.ok ? null : reply.failure);
      if (reply.ok) setMatching(readCount(reply.body));
    }
    void preview();
  }, [group.reason]);

  async function start(): Promise<void> {
    setBusy(true);
    const reply = await ask('/events/redrive', { method: 'POST', body: { reason: group.reason } });
    setBusy(false);
    setFailure(reply.ok ? null : reply.failure);
    if (reply.ok)
      onStarted({ reason: group.reason, count: readCount(reply.body), jobId: fields(reply.body).textOrNull('id') });
  }

  return (
    <Dialog
      title={matching === null ? 'Redrive' : `Redrive ${plural(matching, 'event')}?`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            kind="primary"
            icon="redrive"
            isBusy={isBusy}
            isDisabled={matching === null || matching === 0}
            onClick={() => void start()}
          >
            {isBusy ? 'Redriving…' : 'Redrive'}
          </Button>
        </>
      }
    >
      {matching === null && !failure && <p class="muted">Counting…</p>}
      <p>They go back to their place in each person's line, are mapped by today's rules, and sent to Intercom.</p>
      <p>
        <b>First mend the cause:</b> {sentence(group.remedy)}
      </p>
      {isHeld && <Notice tone="warn" title="Delivery is on hold: they would wait until it goes on." />}
      {failure && <FailureNotice what="The redrive failed" failure={failure} />}
    </Dialog>
  );
}

function readCount(body: unknown): number {
  const answer = fields(body);
  return answer.numberOrNull('redriven') ?? answer.number('count');
}
