import './call-card.css';
import { Code } from './code.tsx';
import { HttpStatus } from './status.tsx';
import { duration } from './time.tsx';

/** One call of Intercom's API: what is sent, and what was answered where it was sent already. */
export function CallCard({
  call,
  note,
}: {
  call: { method: string; path: string; body: unknown; status?: number | null; answer?: unknown; ms?: number };
  note?: string | null;
}) {
  return (
    <div class="call-card">
      <div class="call-line">
        <code>
          <b>{call.method}</b> {call.path}
        </code>
        {call.status !== undefined && (
          <span class="call-answer">
            <HttpStatus status={call.status} />
            {call.ms !== undefined && <span class="muted"> {duration(call.ms)}</span>}
          </span>
        )}
      </div>
      {note && <p class="call-note muted">{note}</p>}
      {call.body !== undefined && call.body !== null && <Code title="Body" value={call.body} isOpen />}
      {call.answer !== undefined && call.answer !== null && (
        <Code title="Intercom's answer" value={call.answer} isOpen={(call.status ?? 0) >= 300} />
      )}
    </div>
  );
}
