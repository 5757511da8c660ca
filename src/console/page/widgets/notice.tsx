import './notice.css';
import type { ComponentChildren } from 'preact';
import { type Failure, sentence } from '../service/request.ts';
import { Icon, type IconName } from './icon.tsx';

type Tone = 'bad' | 'warn' | 'good' | 'wait';
const icons: Record<Tone, IconName> = { bad: 'dead', warn: 'warning', good: 'delivered', wait: 'queued' };

/** What happened, why, and what to do. An alert is read out at once. */
export function Notice({
  tone,
  title,
  children,
  actions,
}: {
  tone: Tone;
  title: ComponentChildren;
  children?: ComponentChildren;
  actions?: ComponentChildren;
}) {
  return (
    <div class={`notice ${tone}`} role={tone === 'bad' ? 'alert' : 'status'}>
      <Icon name={icons[tone]} />
      <div class="notice-body">
        <p class="notice-title">{title}</p>
        {children}
      </div>
      {actions && <div class="notice-actions">{actions}</div>}
    </div>
  );
}

export function FailureNotice({
  failure,
  what,
  actions,
}: {
  failure: Failure;
  what: string;
  actions?: ComponentChildren;
}) {
  return (
    <Notice tone="bad" title={what} actions={actions}>
      <p>{failure.message}</p>
      {failure.details.length > 0 && (
        <ul>
          {failure.details.map(({ field, message }) => (
            <li key={field + message}>
              {field !== '' && <code>{field}</code>} {sentence(message)}
            </li>
          ))}
        </ul>
      )}
      {failure.remedy !== null && <p>{failure.remedy}</p>}
    </Notice>
  );
}
