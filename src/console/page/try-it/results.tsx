import type { Explained, Sent } from '../service/explanation.ts';
import { sentence } from '../service/request.ts';
import { href } from '../shell/route.ts';
import { CallCard } from '../widgets/call-card.tsx';
import { ConsentText } from '../widgets/consent-text.tsx';
import { HttpStatus, reasonText, Status } from '../widgets/status.tsx';
import { plural } from '../widgets/time.tsx';
import { Warnings } from '../widgets/warnings.tsx';

export function ExplainedEvent({ event }: { event: Explained }) {
  const { index, type, status, reason, consent, person, calls, warnings, error } = event;
  return (
    <article class="card explained" aria-label={`Event ${index + 1}`}>
      <div class="explained-head">
        <h2>
          {index + 1}. {type === '' ? 'event' : type}
        </h2>
        <Status of={status} />
      </div>
      {error !== null && <p>{sentence(error)}</p>}
      {reason !== null && error === null && <p>{plans[reason] ?? sentence(reasonText(reason))}</p>}
      <dl class="story-facts">
        {consent && (
          <>
            <dt>Consent</dt>
            <dd>
              <ConsentText consent={consent} />
            </dd>
          </>
        )}
        {person !== null && (
          <>
            <dt>Person</dt>
            <dd>
              <code>{person}</code>
            </dd>
          </>
        )}
      </dl>
      <Warnings warnings={warnings} />
      {status === 'would_send' && (
        <>
          <h3>{calls.length === 0 ? 'No call of its own' : plural(calls.length, 'Intercom call')}</h3>
          {calls.map((call, place) => (
            <div key={place} class="planned">
              <CallCard call={call} note={call.otherwise === null && call.note !== null ? sentence(call.note) : null} />
              {call.otherwise && (
                <details class="otherwise">
                  <summary>If {call.otherwise.when}</summary>
                  {call.otherwise.calls.length === 0 && <p class="muted">No further call.</p>}
                  {call.otherwise.calls.map((other, step) => (
                    <CallCard key={step} call={other} />
                  ))}
                </details>
              )}
            </div>
          ))}
        </>
      )}
    </article>
  );
}

const plans: Record<string, string> = {
  unchanged: 'Intercom has these values already: nothing would change.',
  merged: 'It would go out as one call with the last of the identifies beside it.',
  held_until_login: 'It would be kept until the visitor logs in, and delivered then with its own time.',
};

export function SentEvents({ status, events }: { status: number; events: readonly Sent[] }) {
  return (
    <div class="card explained">
      <div class="explained-head">
        <h2>
          The service answered <HttpStatus status={status} />
        </h2>
      </div>
      <p class="muted">{meanings[status] ?? ''}</p>
      {events.map((event, index) => (
        <div key={event.id ?? index} class="sent-event">
          <Status of={event.status} />
          <span>
            {event.error !== null && sentence(event.error)}
            {event.reason !== null && sentence(reasonText(event.reason))}
            {event.intercomStatus !== null && (
              <>
                Intercom answered <HttpStatus status={event.intercomStatus} />, {plural(event.calls, 'call')}.
              </>
            )}
          </span>
          {event.id !== null && (
            <a class="button" href={href('events', [['event', event.id]])}>
              See its story
            </a>
          )}
        </div>
      ))}
    </div>
  );
}

const meanings: Record<number, string> = {
  200: 'Every event is settled.',
  202: 'Every event is kept on disk; one or more are still on their way to Intercom.',
  207: 'Some events of the batch were refused; the others are kept.',
  400: 'Nothing was kept: the event has to be changed first.',
  422: 'Intercom refused it for good. It is kept as a dead letter.',
};
