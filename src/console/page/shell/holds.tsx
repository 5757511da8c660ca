import { overview } from '../service/overview.ts';
import { sentence } from '../service/request.ts';
import { Notice } from '../widgets/notice.tsx';
import { Ago, plural } from '../widgets/time.tsx';
import { href, route } from './route.ts';

/** What stops the delivery, on every screen until it is mended. */
export function Holds() {
  const known = overview.value;
  if (!known) return null;
  const held = known.installations.flatMap(({ id, name, hold, status }) =>
    hold && status === 'held' ? [{ id, name, hold }] : [],
  );
  return (
    <>
      {!known.store.ok && (
        <Notice tone="bad" title="Events can't be stored now, and are refused with 503">
          <p>
            {sentence(known.store.reason ?? 'the database does not take writes')} The sender repeats what was refused.
          </p>
        </Notice>
      )}
      {held.map(({ id, name, hold }) => (
        <Notice
          key={id}
          tone="warn"
          title={
            <>
              Delivery to {name} is on hold
              {hold.sinceMs !== null && (
                <>
                  , since <Ago ms={hold.sinceMs} />
                </>
              )}
            </>
          }
          actions={
            route.value.screen === 'integrations' ? null : (
              <a class="button" href={href('integrations')}>
                Open integrations
              </a>
            )
          }
        >
          <p>
            {sentence(hold.message)} {sentence(hold.remedy)}
          </p>
          <p class="muted">
            Nothing is lost: {plural(known.ledger.queued, 'event waits', 'events wait')}, and what comes is kept.
          </p>
        </Notice>
      ))}
    </>
  );
}
