import type { ConfigField } from '../service/integration.ts';
import { Field } from '../widgets/field.tsx';

const developerHub = 'https://app.intercom.com/a/apps/_/developer-hub';

/** The inputs that the catalog asks for. */
export function ConfigFields({
  fields,
  config,
  problem,
  onChange,
}: {
  fields: readonly ConfigField[];
  config: Record<string, string>;
  problem(key: string): string | undefined;
  onChange(key: string, value: string): void;
}) {
  return (
    <>
      {fields.map(({ key, label, type, help, options, placeholder, isRequired }) => (
        <Field
          key={key}
          label={label}
          problem={problem(key)}
          help={key === 'access_token' ? <TokenHelp /> : help === '' ? undefined : help}
        >
          {(given) =>
            type === 'select' ? (
              <select
                {...given}
                name={key}
                required={isRequired}
                value={config[key] ?? ''}
                onChange={(event) => onChange(key, event.currentTarget.value)}
              >
                {config[key] === '' && <option value="">Choose…</option>}
                {options.map((option) => (
                  <option key={option.value} value={option.value}>
                    {option.label}
                  </option>
                ))}
              </select>
            ) : (
              <input
                {...given}
                name={key}
                {...(type === 'secret' ? { type: 'password' as const } : { type: 'text' as const })}
                required={isRequired}
                autocomplete="off"
                spellcheck={false}
                placeholder={placeholder}
                value={config[key] ?? ''}
                onInput={(event) => onChange(key, event.currentTarget.value)}
              />
            )
          }
        </Field>
      ))}
    </>
  );
}

export function TokenHelp() {
  return (
    <>
      In Intercom: Settings › Integrations › Developer Hub › your app › Authentication.{' '}
      <a href={developerHub} target="_blank" rel="noreferrer">
        Open the Developer Hub<span class="only-heard"> (opens a new tab)</span>
      </a>
    </>
  );
}
