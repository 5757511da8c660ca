import { useEffect, useRef, useState } from 'preact/hooks';
import { fields } from '../service/fields.ts';
import { type Integration, readIntegration, type Vendor } from '../service/integration.ts';
import { ask, type Failure, sentence } from '../service/request.ts';
import { Button } from '../widgets/button.tsx';
import { Field } from '../widgets/field.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { ConfigFields } from './config-fields.tsx';

export function InstallForm({
  vendor,
  suggestedName,
  onClose,
  onInstalled,
}: {
  vendor: Vendor;
  suggestedName: string;
  onClose(): void;
  onInstalled(integration: Integration): void;
}) {
  const [name, setName] = useState(suggestedName);
  const [config, setConfig] = useState<Record<string, string>>(() =>
    Object.fromEntries(vendor.fields.map(({ key }) => [key, vendor.defaults.text(key)])),
  );
  const [missing, setMissing] = useState<Record<string, string>>({});
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>('input')?.focus(), []);

  async function install(): Promise<void> {
    const empty = vendor.fields.filter(({ key, isRequired }) => isRequired && (config[key] ?? '').trim() === '');
    setMissing(Object.fromEntries(empty.map(({ key, label }) => [key, `${label} is needed.`])));
    setFailure(null);
    if (empty.length > 0) {
      form.current?.querySelector<HTMLElement>(`[name="${empty[0]!.key}"]`)?.focus();
      return;
    }
    setBusy(true);
    const reply = await ask(`/v1/admin/integration-catalog/${encodeURIComponent(vendor.key)}/install`, {
      method: 'POST',
      body: { name: name.trim(), variant: vendor.variant, config, delivery_mode: 'server_side' },
    });
    setBusy(false);
    if (reply.ok) onInstalled(readIntegration(fields(reply.body)));
    else setFailure(reply.failure);
  }

  const problem = (field: string): string | undefined => {
    const told = failure?.details.find((detail) => detail.field === field || detail.field === `config.${field}`);
    return missing[field] ?? (told && sentence(told.message));
  };
  return (
    <form
      class="card install"
      ref={form}
      noValidate
      aria-labelledby="install-title"
      onSubmit={(event) => {
        event.preventDefault();
        void install();
      }}
    >
      <div>
        <h2 id="install-title">Install {vendor.name}</h2>
        <p class="muted">The token is checked with Intercom before anything is kept, and stored encrypted.</p>
      </div>
      {failure && <FailureNotice what="It was not installed" failure={failure} />}
      <Field label="Name" help="To tell several workspaces apart." problem={problem('name')}>
        {(given) => (
          <input
            {...given}
            name="name"
            value={name}
            autocomplete="off"
            onInput={(event) => setName(event.currentTarget.value)}
          />
        )}
      </Field>
      <ConfigFields
        fields={vendor.fields}
        config={config}
        problem={problem}
        onChange={(key, value) => setConfig({ ...config, [key]: value })}
      />
      <div class="row">
        <Button type="submit" kind="primary" isBusy={isBusy}>
          {isBusy ? 'Checking with Intercom…' : 'Install'}
        </Button>
        <Button onClick={onClose}>Cancel</Button>
      </div>
    </form>
  );
}
