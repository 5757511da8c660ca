import './screen.css';
import { useCallback, useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { overview } from '../service/overview.ts';
import { announce } from '../shell/announcer.tsx';
import { go, href, hrefWith, route } from '../shell/route.ts';
import { Button } from '../widgets/button.tsx';
import { MinutesChart, type Series } from '../widgets/minutes-chart.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { plural } from '../widgets/time.tsx';
import { FilterBar } from './filter-bar.tsx';
import { readFilters } from './filters.ts';
import { FirstSteps } from './first-steps.tsx';
import { Funnel } from './funnel.tsx';
import { type LiveList, openLiveList } from './live-list.ts';
import { StoryPanel } from './story-panel.tsx';
import { StreamMark } from './stream-mark.tsx';
import { EventTable } from './table.tsx';

const series: Series[] = [
  { key: 'delivered', label: 'Delivered', colour: 'good' },
  { key: 'filtered', label: 'Filtered', colour: 'off' },
  { key: 'dead', label: 'Dead', colour: 'bad' },
];

export function EventsScreen() {
  const { query } = route.value;
  const filters = readFilters(query);
  const key = JSON.stringify(filters);
  const selected = query.get('event') ?? null;
  const [list, setList] = useState<LiveList | null>(null);
  useEffect(() => {
    const opened = openLiveList(filters);
    setList(opened);
    return opened.close;
  }, [key]);
  const known = overview.value;
  const isFiltered = Object.keys(filters).length > 0;

  return (
    <div class={`events-screen ${selected === null ? '' : 'has-story'}`}>
      <div class="events-column">
        <div class="screen-head">
          <h1>Live events</h1>
        </div>
        {known && <Funnel ledger={known.ledger} chosen={filters.status} />}
        {known && known.ledger.accepted > 0 && (
          <div class="card">
            <MinutesChart title="Settled per minute" minutes={known.minutes} series={series} height={112} />
          </div>
        )}
        {list && (
          <Listing
            list={list}
            filterKey={key}
            selected={selected}
            isFiltered={isFiltered}
            isNew={known?.ledger.accepted === 0}
          />
        )}
      </div>
      {selected !== null && <StoryPanel id={selected} list={list} onClose={() => go(hrefWith({ event: null }))} />}
    </div>
  );
}

function Listing({
  list,
  filterKey,
  selected,
  isFiltered,
  isNew,
}: {
  list: LiveList;
  /** Another filter makes another list, which begins at its top. */
  filterKey: string;
  selected: string | null;
  isFiltered: boolean;
  isNew: boolean;
}) {
  const view = list.view.value;
  const [isPaused, setPaused] = useState(false);
  const [isScrolled, setScrolled] = useState(false);
  const isStill = isPaused || isScrolled;
  useEffect(() => list.holdStill(isStill), [list, isStill]);
  const onScrolled = useCallback(setScrolled, []);
  const section = useRef<HTMLElement>(null);
  useAnnouncements(list);
  const isEmpty = view.rows.length === 0 && !view.isLoading && list.failure.value === null;

  function showWaiting(): void {
    section.current?.querySelector('.event-table')?.scrollTo({ top: 0 });
    list.holdStill(false);
    if (isPaused) list.holdStill(true);
  }

  return (
    <section class="card listing" ref={section} aria-label="Events">
      <div class="listing-head">
        <FilterBar />
        <div class="row">
          <StreamMark state={list.stream.value} isPaused={isPaused} />
          <Button icon={isPaused ? 'play' : 'hold'} isPressed={isPaused} onClick={() => setPaused(!isPaused)}>
            {isPaused ? 'Resume' : 'Pause'}
          </Button>
        </div>
      </div>
      {list.failure.value && <FailureNotice what="The events could not be read" failure={list.failure.value} />}
      {view.waiting > 0 && isStill && (
        <button type="button" class="newer" onClick={showWaiting}>
          Show {plural(view.waiting, 'newer event')}
        </button>
      )}
      {isEmpty && isNew && !isFiltered && <FirstSteps />}
      {isEmpty && !(isNew && !isFiltered) && (
        <div class="nothing">
          <h2>{isFiltered ? 'No event fits' : 'No events are kept now'}</h2>
          <p class="muted">
            Settled events are kept for 7 days and dead letters for 30, if RETENTION_DAYS and DEAD_LETTER_DAYS do not
            say otherwise.
          </p>
          {isFiltered && (
            <a class="button" href={href('events')}>
              Remove the filters
            </a>
          )}
        </div>
      )}
      {!isEmpty && (
        <EventTable
          key={filterKey}
          rows={view.rows}
          selected={selected}
          hasOlder={view.hasOlder}
          isLoading={view.isLoading}
          onOlder={list.loadOlder}
          onScrolled={onScrolled}
        />
      )}
    </section>
  );
}

const announceMs = 8000;

/** What has arrived, told now and then and in one sentence. */
function useAnnouncements(list: LiveList): void {
  const heard = useMemo(() => ({ newest: '' }), [list]);
  useEffect(() => {
    const timer = setInterval(() => {
      const { rows, waiting } = list.view.peek();
      const newest = rows[0]?.id ?? '';
      const fresh =
        heard.newest === ''
          ? 0
          : Math.max(
              0,
              rows.findIndex(({ id }) => id === heard.newest),
            ) + waiting;
      if (fresh > 0) announce(plural(fresh, 'new event'));
      heard.newest = newest;
    }, announceMs);
    return () => clearInterval(timer);
  }, [list, heard]);
}
