import { useState } from 'preact/hooks';
import type { Integration } from '../service/integration.ts';
import { ask, type Failure, sentence } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { Button } from '../widgets/button.tsx';
import { Dialog } from '../widgets/dialog.tsx';
import { Field } from '../widgets/field.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { TokenHelp } from './config-fields.tsx';

/** A new token ends a hold. */
export function TokenDialog({
  integration,
  onClose,
  onChange,
}: {
  integration: Integration;
  onClose(): void;
  onChange(): void;
}) {
  const [token, setToken] = useState('');
  const [region, setRegion] = useState(integration.region ?? 'us');
  const [problem, setProblem] = useState<string>();
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);

  async function save(): Promise<void> {
    if (token.trim() === '') {
      setProblem('Enter the new token.');
      return;
    }
    setProblem(undefined);
    setBusy(true);
    const reply = await ask(`/v1/admin/integrations/${encodeURIComponent(integration.id)}`, {
      method: 'PATCH',
      body: { config: { access_token: token.trim(), region } },
    });
    setBusy(false);
    if (!reply.ok) {
      setFailure(reply.failure);
      const told = reply.failure.details.find(({ field }) => field === 'config.access_token');
      setProblem(told && sentence(told.message));
      return;
    }
    announce('The new token is in use');
    onChange();
    onClose();
  }

  return (
    <Dialog
      title={`New token for ${integration.name}`}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" isBusy={isBusy} onClick={() => void save()}>
            {isBusy ? 'Checking with Intercom…' : 'Save'}
          </Button>
        </>
      }
    >
      {failure && <FailureNotice what="The token was not changed" failure={failure} />}
      <Field label="Access token" problem={problem} help={<TokenHelp />}>
        {(given) => (
          <input
            {...given}
            type="password"
            autocomplete="off"
            spellcheck={false}
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter') void save();
            }}
          />
        )}
      </Field>
      <Field label="Region">
        {(given) => (
          <select {...given} value={region} onChange={(event) => setRegion(event.currentTarget.value)}>
            <option value="us">United States</option>
            <option value="eu">Europe</option>
            <option value="au">Australia</option>
          </select>
        )}
      </Field>
    </Dialog>
  );
}
