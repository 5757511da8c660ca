import { Field } from '../widgets/field.tsx';

/** What a sender presents to /ingest; the admin token is not asked there. */
export type Credential = { kind: 'none' | 'bearer' | 'basic'; text: string };

export function credentialHeaders({ kind, text }: Credential): Record<string, string> {
  if (kind === 'bearer') return { authorization: `Bearer ${text.trim()}` };
  if (kind === 'basic')
    return { authorization: `Basic ${btoa(String.fromCodePoint(...new TextEncoder().encode(text.trim())))}` };
  return {};
}

export function Credentials({
  value,
  isRefused,
  onChange,
}: {
  value: Credential;
  isRefused: boolean;
  onChange(credential: Credential): void;
}) {
  const problem = isRefused
    ? value.kind === 'none'
      ? 'The service wants a credential of the sender (401): give what INGEST_TOKEN or INGEST_BASIC is set to.'
      : 'The service does not accept this credential (401). It is not the admin token: look at INGEST_TOKEN or INGEST_BASIC.'
    : undefined;
  return (
    <div class="credentials">
      <Field label="To send: authentication" problem={problem}>
        {(given) => (
          <select
            {...given}
            value={value.kind}
            onChange={(event) => {
              const kind = event.currentTarget.value;
              onChange({ ...value, kind: kind === 'bearer' || kind === 'basic' ? kind : 'none' });
            }}
          >
            <option value="none">None</option>
            <option value="bearer">Bearer token (INGEST_TOKEN)</option>
            <option value="basic">Basic (INGEST_BASIC)</option>
          </select>
        )}
      </Field>
      {value.kind !== 'none' && (
        <Field label={value.kind === 'bearer' ? 'Token' : 'user:password'}>
          {(given) => (
            <input
              {...given}
              type="password"
              autocomplete="off"
              spellcheck={false}
              value={value.text}
              onInput={(event) => onChange({ ...value, text: event.currentTarget.value })}
            />
          )}
        </Field>
      )}
    </div>
  );
}
