import './table.css';
import { useEffect, useRef } from 'preact/hooks';
import { hrefWith } from '../shell/route.ts';
import type { KeptEvent } from '../service/event.ts';
import { Icon, typeIcon } from '../widgets/icon.tsx';
import { eventTitle, HttpStatus, personTitle, reasonText, Status } from '../widgets/status.tsx';
import { Time } from '../widgets/time.tsx';
import { useNarrow, useVirtualRows } from '../widgets/virtual-rows.ts';

const columns = ['Time', 'Status', 'Event', 'Person', 'Intercom', 'Reason'];

/** The events in a table of which only the rows in sight are drawn; arrow keys go from row to row. */
export function EventTable({
  rows,
  selected,
  hasOlder,
  isLoading,
  onOlder,
  onScrolled,
}: {
  rows: readonly KeptEvent[];
  selected: string | null;
  hasOlder: boolean;
  isLoading: boolean;
  onOlder(): void;
  /** Whether the newest row is out of sight. */
  onScrolled(isScrolled: boolean): void;
}) {
  const rowHeight = useNarrow('(max-width: 860px)') ? 60 : 34;
  const { box, from, to, top, height } = useVirtualRows(rows.length, rowHeight);
  const focusOn = useRef<string | null>(null);
  const isScrolled = top > rowHeight / 2;
  useEffect(() => onScrolled(isScrolled), [isScrolled]);
  useEffect(() => {
    if (hasOlder && top + height > (rows.length - 20) * rowHeight) onOlder();
  }, [top, height, hasOlder, rows.length]);
  useEffect(() => {
    if (focusOn.current === null) return;
    const link = box.current?.querySelector<HTMLElement>(`[data-event="${CSS.escape(focusOn.current)}"]`);
    link?.focus({ preventScroll: true });
    if (link) focusOn.current = null;
  });

  function moveBy(step: number, event: KeyboardEvent): void {
    const at = document.activeElement?.getAttribute('data-event');
    const index = rows.findIndex(({ id }) => id === at);
    const target = rows[index + step];
    const element = box.current;
    if (index < 0 || !target || !element) return;
    event.preventDefault();
    focusOn.current = target.id;
    const place = (index + step) * rowHeight;
    if (place < element.scrollTop) element.scrollTop = place;
    else if (place + 2 * rowHeight > element.scrollTop + height) element.scrollTop = place + 2 * rowHeight - height;
    const link = element.querySelector<HTMLElement>(`[data-event="${CSS.escape(target.id)}"]`);
    if (link) {
      link.focus({ preventScroll: true });
      focusOn.current = null;
    }
  }

  return (
    <div
      class="event-table"
      ref={box}
      tabIndex={0}
      role="group"
      aria-label="Events, scrollable"
      onKeyDown={(event) => {
        if (event.key === 'ArrowDown') moveBy(1, event);
        if (event.key === 'ArrowUp') moveBy(-1, event);
      }}
    >
      <table role="table" aria-rowcount={hasOlder ? -1 : rows.length + 1} aria-label="Events, newest first">
        <thead role="rowgroup">
          <tr role="row" aria-rowindex={1}>
            {columns.map((name) => (
              <th key={name} role="columnheader" scope="col" class={`cell-${name.toLowerCase()}`}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup" style={{ height: `${rows.length * rowHeight}px` }} aria-busy={isLoading}>
          {rows.slice(from, to).map((event, index) => (
            <Row
              key={event.id}
              event={event}
              index={from + index}
              top={(from + index) * rowHeight}
              isSelected={event.id === selected}
            />
          ))}
        </tbody>
      </table>
      {(hasOlder || isLoading) && rows.length > 0 && <p class="table-foot muted">Loading older events…</p>}
    </div>
  );
}

function Row({ event, index, top, isSelected }: { event: KeptEvent; index: number; top: number; isSelected: boolean }) {
  const { id, status, reason, type, receivedAtMs, intercomStatus, calls } = event;
  return (
    <tr
      role="row"
      aria-rowindex={index + 2}
      class={isSelected ? 'is-selected' : undefined}
      style={{ transform: `translateY(${top}px)` }}
    >
      <td role="cell" class="cell-time">
        <Time ms={receivedAtMs} />
      </td>
      <td role="cell" class="cell-status">
        <Status of={status} />
      </td>
      <td role="cell" class="cell-event">
        <a data-event={id} href={hrefWith({ event: id })} aria-current={isSelected ? 'true' : undefined}>
          <Icon name={typeIcon(type)} />
          <span class="event-name">{eventTitle(event)}</span>
          {event.name !== null && type !== 'track' && <span class="event-type">{type}</span>}
        </a>
      </td>
      <td role="cell" class="cell-person">
        {personTitle(event)}
      </td>
      <td role="cell" class="cell-intercom">
        {intercomStatus === null ? <span class="muted">–</span> : <HttpStatus status={intercomStatus} brief />}
        {calls > 1 && <span class="muted"> {calls} calls</span>}
      </td>
      <td role="cell" class="cell-reason">
        {reason === null ? '' : reasonText(reason)}
      </td>
    </tr>
  );
}
