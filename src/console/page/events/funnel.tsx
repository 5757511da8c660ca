import './funnel.css';
import type { Ledger } from '../service/overview.ts';
import { hrefWith } from '../shell/route.ts';
import { Icon } from '../widgets/icon.tsx';
import { count } from '../widgets/time.tsx';

const parts = [
  { status: 'delivered', label: 'Delivered', tone: 'good', hint: 'Intercom has them' },
  { status: 'queued', label: 'Queued', tone: 'wait', hint: 'on disk, under way' },
  { status: 'filtered', label: 'Filtered', tone: 'off', hint: 'not sent, on purpose' },
  { status: 'dead', label: 'Dead', tone: 'bad', hint: 'refused for good, kept' },
] as const;

/** Every accepted event is in exactly one of four states; each of them narrows the list. */
export function Funnel({ ledger, chosen }: { ledger: Ledger; chosen: string | undefined }) {
  const sum = ledger.delivered + ledger.filtered + ledger.dead + ledger.queued;
  return (
    <section class="funnel" aria-label="What became of all events">
      <a class="funnel-part" href={hrefWith({ status: null, event: null })}>
        <span class="funnel-label">Accepted</span>
        <span class="funnel-count">{count(ledger.accepted)}</span>
        <span class={`funnel-hint ${sum === ledger.accepted ? '' : 'bad'}`}>
          {sum === ledger.accepted ? (
            <>
              <Icon name="delivered" /> adds up
            </>
          ) : (
            <>
              <Icon name="warning" /> {count(Math.abs(ledger.accepted - sum))} unaccounted for
            </>
          )}
        </span>
      </a>
      {parts.map(({ status, label, tone, hint }, index) => (
        <a
          key={status}
          class={`funnel-part ${tone}`}
          href={hrefWith({ status: chosen === status ? null : status, event: null })}
          aria-current={chosen === status ? 'true' : undefined}
        >
          <span class="funnel-sign" aria-hidden="true">
            {index === 0 ? '=' : '+'}
          </span>
          <span class="funnel-label">
            <span class={`swatch ${tone}`} aria-hidden="true" />
            {label}
          </span>
          <span class="funnel-count">
            {count(ledger[status])} <span class="funnel-share">{share(ledger[status], ledger.accepted)}</span>
          </span>
          <span class="funnel-hint">{hint}</span>
        </a>
      ))}
      <div class="funnel-bar" aria-hidden="true">
        {parts.map(({ status, tone }) => (
          <span key={status} class={tone} style={{ flexGrow: ledger[status] }} />
        ))}
      </div>
    </section>
  );
}

function share(part: number, whole: number): string {
  if (whole === 0 || part === 0) return '';
  const percent = (100 * part) / whole;
  if (percent < 0.1) return '< 0.1 %';
  return percent > 99.9 && part < whole ? '> 99.9 %' : `${Math.round(percent * 10) / 10} %`;
}
