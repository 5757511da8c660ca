import './story.css';
import { useEffect, useRef } from 'preact/hooks';
import { readStory } from '../service/event.ts';
import { useAnswer } from '../service/use-answer.ts';
import { Button } from '../widgets/button.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { eventTitle, Status } from '../widgets/status.tsx';
import type { LiveList } from './live-list.ts';
import { StoryOf } from './story.tsx';

/** One event beside the list. It is read anew whenever the stream tells of a change. */
export function StoryPanel({ id, list, onClose }: { id: string; list: LiveList | null; onClose(): void }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const row = list?.view.value.rows.find((event) => event.id === id);
  const seen = row && `${row.status} ${row.reason} ${row.attempts} ${row.nextAttemptAtMs}`;

  const { answer: story, failure, again } = useAnswer(`/events/${encodeURIComponent(id)}`, readStory, [seen]);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
    scrollTo(0, 0); // on a narrow page the story takes the place of the list
    const opened = id;
    return () => document.querySelector<HTMLElement>(`[data-event="${CSS.escape(opened)}"]`)?.focus();
  }, [id]);

  const shown = story?.id === id ? story : null;
  return (
    <section
      class="story-panel"
      aria-labelledby="story-title"
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
      }}
    >
      <div class="story-head">
        <div class="story-title">
          <h2 id="story-title" tabIndex={-1} ref={heading}>
            {shown ? eventTitle(shown) : 'Event'}
          </h2>
          {shown && <Status of={shown.status} />}
        </div>
        <Button kind="quiet" icon="close" label="Close the event" onClick={onClose} />
      </div>
      <div class="story-body">
        {failure && (
          <FailureNotice
            what="The event could not be read"
            failure={failure}
            actions={<Button onClick={again}>Try again</Button>}
          />
        )}
        {shown && <StoryOf story={shown} onRedriven={again} />}
        {!shown && !failure && <p class="muted">Reading…</p>}
      </div>
    </section>
  );
}
