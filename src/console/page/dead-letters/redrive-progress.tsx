import { useEffect, useState } from 'preact/hooks';
import { fields } from '../service/fields.ts';
import { ask } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { href } from '../shell/route.ts';
import { Button } from '../widgets/button.tsx';
import { Notice } from '../widgets/notice.tsx';
import { reasonText } from '../widgets/status.tsx';
import { count, plural } from '../widgets/time.tsx';
import type { Redrive } from './screen.tsx';

const lookMs = 500;

/** How far a redrive is. Few events are done in the answer; many are a job of their own, which can be cancelled. */
export function RedriveProgress({ redrive, onEnd }: { redrive: Redrive; onEnd(): void }) {
  const [job, setJob] = useState({
    total: redrive.count,
    done: redrive.jobId === null ? redrive.count : 0,
    status: redrive.jobId === null ? 'done' : 'running',
  });
  const path = `/events/redrives/${encodeURIComponent(redrive.jobId ?? '')}`;

  useEffect(() => {
    setJob({
      total: redrive.count,
      done: redrive.jobId === null ? redrive.count : 0,
      status: redrive.jobId === null ? 'done' : 'running',
    });
    if (redrive.jobId === null) {
      announce(`${plural(redrive.count, 'event')} queued again`);
      return undefined;
    }
    const ending = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = async (): Promise<void> => {
      const reply = await ask(path, { signal: ending.signal });
      if (ending.signal.aborted) return;
      if (reply.ok) {
        const answer = fields(reply.body);
        const status = answer.text('status');
        setJob({ total: answer.number('total'), done: answer.number('done'), status });
        if (status !== 'running') {
          announce(`${plural(answer.number('done'), 'event')} queued again`);
          onEnd();
          return;
        }
      }
      timer = setTimeout(() => void look(), lookMs);
    };
    void look();
    return () => {
      ending.abort();
      clearTimeout(timer);
    };
  }, [redrive]);

  const { total, done, status } = job;
  const what = reasonText(redrive.reason);
  if (status === 'running')
    return (
      <Notice
        tone="wait"
        title={`${what}: ${count(done)} of ${count(total)} queued again`}
        actions={<Button onClick={() => void ask(path, { method: 'DELETE' })}>Cancel</Button>}
      >
        <progress max={total} value={done} aria-label="Redrive" />
      </Notice>
    );
  return (
    <Notice
      tone="good"
      title={`${what}: ${plural(done, 'event')} queued again${status === 'cancelled' ? `, then cancelled; ${count(total - done)} stay here` : ''}`}
      actions={
        <a class="button" href={href('events')}>
          Watch them
        </a>
      }
    />
  );
}
