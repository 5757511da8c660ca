import './warnings.css';
import type { Warning } from '../service/event.ts';
import { sentence } from '../service/request.ts';
import { Icon } from './icon.tsx';

/** What Intercom will not show as it was sent. */
export function Warnings({ warnings }: { warnings: readonly Warning[] }) {
  if (warnings.length === 0) return null;
  return (
    <ul class="warnings warn">
      {warnings.map(({ code, message, field, remedy }, index) => (
        <li key={index} title={code}>
          <Icon name="warning" />
          <span>
            <span class="only-heard">Warning: </span>
            {field !== null && !message.includes(field) && <code>{field}: </code>}
            {sentence(message)} {remedy !== null && sentence(remedy)}
          </span>
        </li>
      ))}
    </ul>
  );
}
