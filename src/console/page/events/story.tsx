import { useState } from 'preact/hooks';
import type { Attempt, Story } from '../service/event.ts';
import { overview } from '../service/overview.ts';
import { ask, type Failure, sentence } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { href } from '../shell/route.ts';
import { Button, CopyButton } from '../widgets/button.tsx';
import { CallCard } from '../widgets/call-card.tsx';
import { Code } from '../widgets/code.tsx';
import { ConsentText } from '../widgets/consent-text.tsx';
import { Icon, type IconName } from '../widgets/icon.tsx';
import { FailureNotice, Notice } from '../widgets/notice.tsx';
import { HttpStatus, personTitle, reasonText, Status } from '../widgets/status.tsx';
import { Ago, duration, plural, Time } from '../widgets/time.tsx';
import { Warnings } from '../widgets/warnings.tsx';

/** What came, whether it may be sent and why, what was sent, what Intercom answered, and what comes next. */
export function StoryOf({ story, onRedriven }: { story: Story; onRedriven(): void }) {
  return (
    <>
      <Answer story={story} />
      {story.status === 'dead' && <Remedy story={story} onRedriven={onRedriven} />}
      <dl class="story-facts">
        <dt>Person</dt>
        <dd>
          {personTitle(story)}
          {story.userId !== null && (
            <a href={href('events', [['userId', story.userId]])} class="story-more">
              all of this person's events
            </a>
          )}
        </dd>
        <dt>Type</dt>
        <dd>{story.type}</dd>
        <dt>Message id</dt>
        <dd>
          <code>{story.messageId}</code>
        </dd>
        <dt>Event id</dt>
        <dd>
          <code>{story.id}</code> <CopyButton what="event id" text={story.id} />
        </dd>
      </dl>
      <ol class="story-steps">
        <Step icon="forward" title="Came from Signal" at={story.receivedAtMs}>
          <Code title="Raw event" value={story.event} isOpen={story.history.length === 0} />
        </Step>
        {story.consent && (
          <Step
            icon={story.consent.granted ? 'delivered' : 'filtered'}
            tone={story.consent.granted ? 'good' : 'off'}
            title={story.consent.granted ? 'Consent: may be sent' : 'Consent: may not be sent'}
          >
            <p>
              <ConsentText consent={story.consent} />
            </p>
          </Step>
        )}
        {story.history.map((attempt) => (
          <AttemptStep key={attempt.n} attempt={attempt} isOnly={story.history.length === 1} />
        ))}
        <NextStep story={story} />
      </ol>
    </>
  );
}

/** The status that Intercom answered is what one looks for first. */
function Answer({ story }: { story: Story }) {
  const call = story.history.at(-1)?.calls.at(-1);
  const took = story.settledAtMs === null ? null : story.settledAtMs - story.receivedAtMs;
  if (story.status === 'filtered')
    return (
      <div class="answer off">
        <span class="answer-status">Not sent</span>
        <span>{story.explanation ? sentence(story.explanation.cause) : reasonText(story.reason ?? '')}</span>
      </div>
    );
  if (story.intercomStatus === null)
    return (
      <div class={`answer ${story.status === 'delivered' ? 'good' : story.status === 'dead' ? 'bad' : 'wait'}`}>
        <span class="answer-status">{story.status === 'delivered' ? 'No call needed' : 'No answer yet'}</span>
        <span>
          {story.status === 'delivered'
            ? (savedTexts[story.reason ?? ''] ?? 'Intercom has what it says.')
            : story.attempts > 0
              ? `${plural(story.attempts, 'attempt')} so far.`
              : 'It was not sent yet.'}
        </span>
      </div>
    );
  return (
    <div class={`answer ${story.intercomStatus < 300 ? 'good' : 'bad'}`}>
      <span class="answer-status">
        <HttpStatus status={story.intercomStatus} />
      </span>
      <span>
        Intercom's answer
        {call && (
          <>
            {' '}
            to {call.method} {call.path}
          </>
        )}
        , {plural(story.calls, 'call')}
        {took !== null && <>, {duration(took)} after it came</>}
      </span>
    </div>
  );
}

const savedTexts: Record<string, string> = {
  unchanged: 'Intercom has these values already: nothing changed.',
  merged: 'It went out together with a later event of this person.',
};

function Step({
  icon,
  tone = '',
  title,
  at,
  children,
}: {
  icon: IconName;
  tone?: string;
  title: preact.ComponentChildren;
  at?: number | null;
  children?: preact.ComponentChildren;
}) {
  return (
    <li class="story-step">
      <span class={`step-icon ${tone}`}>
        <Icon name={icon} />
      </span>
      <div class="step-head">
        <h3>{title}</h3>
        {at !== undefined && at !== null && <Time ms={at} />}
      </div>
      <div class="step-body">{children}</div>
    </li>
  );
}

const outcomes: Record<string, { icon: IconName; tone: string }> = {
  delivered: { icon: 'delivered', tone: 'good' },
  retry: { icon: 'redrive', tone: 'wait' },
  hold: { icon: 'hold', tone: 'warn' },
  dead: { icon: 'dead', tone: 'bad' },
  filtered: { icon: 'filtered', tone: 'off' },
};

function AttemptStep({ attempt, isOnly }: { attempt: Attempt; isOnly: boolean }) {
  const { icon, tone } = outcomes[attempt.outcome] ?? { icon: 'track' as const, tone: '' };
  return (
    <Step
      icon={icon}
      tone={tone}
      at={attempt.atMs}
      title={
        <>
          {isOnly ? 'Sent to Intercom' : `Attempt ${attempt.n}`} <Status of={attempt.outcome} />
        </>
      }
    >
      {attempt.reason !== null && (
        <p class="muted">{savedTexts[attempt.reason] ?? sentence(reasonText(attempt.reason))}</p>
      )}
      {attempt.calls.length === 0 && attempt.reason === null && <p class="muted">No call went out.</p>}
      {attempt.calls.map((call, index) => (
        <CallCard key={index} call={call} />
      ))}
      <Warnings warnings={attempt.warnings} />
    </Step>
  );
}

/** A dead letter waits for somebody: why, what to do, and the button for afterwards. */
function Remedy({ story, onRedriven }: { story: Story; onRedriven(): void }) {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);

  async function redrive(): Promise<void> {
    setBusy(true);
    const reply = await ask(`/events/${encodeURIComponent(story.id)}/redrive`, { method: 'POST' });
    setBusy(false);
    setFailure(reply.ok ? null : reply.failure);
    if (!reply.ok) return;
    announce('The event is queued again');
    onRedriven();
  }

  return (
    <>
      <Notice
        tone="warn"
        title={story.explanation ? sentence(story.explanation.cause) : reasonText(story.reason ?? 'unknown')}
        actions={
          <Button icon="redrive" kind="primary" isBusy={isBusy} onClick={() => void redrive()}>
            Redrive
          </Button>
        }
      >
        {story.explanation && <p>{sentence(story.explanation.remedy)}</p>}
      </Notice>
      {failure && <FailureNotice what="The event was not redriven" failure={failure} />}
    </>
  );
}

function NextStep({ story }: { story: Story }) {
  if (story.status === 'delivered')
    return (
      <Step icon="delivered" tone="good" title="Done" at={story.settledAtMs}>
        <p class="muted">Nothing is left to do. It stands on the person in Intercom.</p>
      </Step>
    );
  if (story.status === 'filtered')
    return (
      <Step icon="filtered" tone="off" title="Done, not sent" at={story.settledAtMs}>
        <p>{story.explanation ? sentence(story.explanation.remedy) : 'Nothing is left to do.'}</p>
      </Step>
    );
  if (story.status === 'dead')
    return (
      <Step icon="dead-letters" tone="bad" title="Kept as a dead letter" at={story.settledAtMs}>
        <p class="muted">It goes out again when it is redriven, and not before.</p>
      </Step>
    );
  return (
    <Step icon="queued" tone="wait" title="Next">
      <p>
        {story.nextAttemptAtMs !== null ? (
          <>
            It is tried again <Ago ms={story.nextAttemptAtMs} />, by itself.
          </>
        ) : isHeld(story) ? (
          'It waits while the delivery is on hold, and goes out by itself after that.'
        ) : (
          'It waits for its turn, and goes out by itself.'
        )}
      </p>
    </Step>
  );
}

function isHeld({ installation }: Story): boolean {
  return overview.value?.installations.some(({ id, status }) => id === installation && status === 'held') ?? false;
}
