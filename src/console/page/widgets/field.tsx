import './field.css';
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

/** A labelled input, with its help and what is wrong with it. */
export function Field({
  label,
  help,
  problem,
  children,
}: {
  label: string;
  help?: ComponentChildren;
  problem?: string | undefined;
  children(given: { id: string; 'aria-describedby': string | undefined; 'aria-invalid': boolean }): ComponentChildren;
}) {
  const id = useId();
  const told = [help !== undefined && `${id}-help`, problem !== undefined && `${id}-problem`].filter(Boolean).join(' ');
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        'aria-describedby': told === '' ? undefined : told,
        'aria-invalid': problem !== undefined,
      })}
      {problem !== undefined && (
        <p class="field-problem" id={`${id}-problem`}>
          {problem}
        </p>
      )}
      {help !== undefined && (
        <p class="field-help" id={`${id}-help`}>
          {help}
        </p>
      )}
    </div>
  );
}
