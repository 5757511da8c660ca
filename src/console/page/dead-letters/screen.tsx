import './screen.css';
import { useState } from 'preact/hooks';
import { readStory } from '../service/event.ts';
import { fields } from '../service/fields.ts';
import { overview } from '../service/overview.ts';
import { sentence } from '../service/request.ts';
import { useAnswer } from '../service/use-answer.ts';
import { href } from '../shell/route.ts';
import { Button } from '../widgets/button.tsx';
import { Icon } from '../widgets/icon.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { reasonText } from '../widgets/status.tsx';
import { Ago, count, plural } from '../widgets/time.tsx';
import { RedriveDialog } from './redrive-dialog.tsx';
import { RedriveProgress } from './redrive-progress.tsx';
import { type Group, readGroups } from './summary.ts';

export function DeadLettersScreen() {
  const [chosen, setChosen] = useState<Group | null>(null);
  const [redrive, setRedrive] = useState<Redrive | null>(null);
  const dead = overview.value?.ledger.dead;
  const { answer: groups, failure, again } = useAnswer('/events/summary?status=dead', readGroups, [dead]);
  const total = groups?.reduce((sum, group) => sum + group.count, 0) ?? 0;

  return (
    <>
      <div class="screen-head">
        <div>
          <h1>Dead letters</h1>
          <p>What Intercom refused for good. It is kept, and goes out again when the cause is mended.</p>
        </div>
        {groups && groups.length > 0 && (
          <a class="button" href={href('events', [['status', 'dead']])}>
            See all {count(total)}
          </a>
        )}
      </div>
      {failure && (
        <FailureNotice
          what="The dead letters could not be read"
          failure={failure}
          actions={<Button onClick={again}>Try again</Button>}
        />
      )}
      {redrive && <RedriveProgress redrive={redrive} onEnd={again} />}
      {groups?.length === 0 && (
        <div class="card nothing">
          <Icon name="delivered" />
          <h2>No dead letters</h2>
          <p class="muted">
            Nothing is waiting for you. When Intercom refuses an event for good, it is listed here by its cause, with
            what to do about it.
          </p>
        </div>
      )}
      <ul class="groups">
        {groups?.map((group) => (
          <li key={group.reason} class="card group">
            <div class="group-count">
              <b>{count(group.count)}</b>
              <span class="muted">{group.count === 1 ? 'event' : 'events'}</span>
            </div>
            <div class="group-text">
              <h2>{reasonText(group.reason)}</h2>
              <dl>
                <dt>Cause</dt>
                <dd>{sentence(group.cause)}</dd>
                {group.example && <LastAnswer id={group.example.id} />}
                <dt>Remedy</dt>
                <dd>{sentence(group.remedy)}</dd>
              </dl>
              <p class="group-when muted">
                {group.newestMs !== null && (
                  <>
                    last <Ago ms={group.newestMs} />
                  </>
                )}
                {group.oldestMs !== null && (group.newestMs ?? 0) - group.oldestMs > 60_000 && (
                  <>
                    , first <Ago ms={group.oldestMs} />
                  </>
                )}
                {group.example && (
                  <>
                    {' · for example '}
                    <a
                      href={href('events', [
                        ['status', 'dead'],
                        ['reason', group.reason],
                        ['event', group.example.id],
                      ])}
                    >
                      {group.example.name}
                    </a>
                  </>
                )}
              </p>
            </div>
            <div class="group-actions">
              <Button icon="redrive" onClick={() => setChosen(group)}>
                Redrive…
              </Button>
              <a
                class="button quiet"
                href={href('events', [
                  ['status', 'dead'],
                  ['reason', group.reason],
                ])}
              >
                See {plural(group.count, 'event')}
              </a>
            </div>
          </li>
        ))}
      </ul>
      {chosen && (
        <RedriveDialog
          group={chosen}
          onClose={() => setChosen(null)}
          onStarted={(started) => {
            setChosen(null);
            setRedrive(started);
            again();
          }}
        />
      )}
    </>
  );
}

/** What Intercom said to one of them: where the cause is a refusal, this is what it is about. */
function LastAnswer({ id }: { id: string }) {
  const { answer: said } = useAnswer(`/events/${encodeURIComponent(id)}`, readRefusal);
  if (said === null) return null;
  return (
    <>
      <dt>Answer</dt>
      <dd>
        <code>{said}</code>
      </dd>
    </>
  );
}

function readRefusal(body: unknown): string | null {
  const call = readStory(body).history.at(-1)?.calls.at(-1);
  const [error] = fields(call?.answer).list('errors', (item) => item.text('message'));
  return call && error ? `${call.status ?? ''} ${error}` : null;
}

/** A redrive that was asked for: already done, or a job of many that goes on. */
export type Redrive = { reason: string; count: number; jobId: string | null };
