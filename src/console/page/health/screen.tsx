import './screen.css';
import { type Overview, overview, overviewFailure } from '../service/overview.ts';
import { sentence } from '../service/request.ts';
import { href } from '../shell/route.ts';
import { MinutesChart, type Series } from '../widgets/minutes-chart.tsx';
import { FailureNotice } from '../widgets/notice.tsx';
import { Status } from '../widgets/status.tsx';
import { Ago, count, duration, nowMs, plural, Time } from '../widgets/time.tsx';

const series: Series[] = [
  { key: 'calls', label: 'Calls', colour: 'wait' },
  { key: 'retried', label: 'Retries', colour: 'warn' },
];

export function HealthScreen() {
  const known = overview.value;
  return (
    <>
      <div class="screen-head">
        <div>
          <h1>Health</h1>
          <p>Whether events get through, how fast, and what is spared.</p>
        </div>
      </div>
      {overviewFailure.value && !known && (
        <FailureNotice what="The state of the service could not be read" failure={overviewFailure.value} />
      )}
      {known && (
        <div class="health-grid">
          <Backlog known={known} />
          <Quotas known={known} />
          <section class="card health-part health-wide" aria-labelledby="attempts-title">
            <h2 id="attempts-title">Calls to Intercom</h2>
            <MinutesChart title="Per minute" minutes={known.minutes} series={series} height={150} />
          </section>
          <Saved known={known} />
          <Parts known={known} />
          {known.replicas.length > 0 && <Replicas known={known} />}
        </div>
      )}
    </>
  );
}

function Backlog({ known }: { known: Overview }) {
  const { queued, people, waiting, held, oldestReceivedAtMs, callsPerSecond, expectedEndAtMs } = known.backlog;
  const isHeld = known.installations.some(({ status }) => status === 'held' || status === 'paused');
  return (
    <section class="card health-part" aria-labelledby="backlog-title">
      <h2 id="backlog-title">Backlog</h2>
      <p class="figure">
        {count(queued)} <span>{queued === 1 ? 'event' : 'events'} under way</span>
      </p>
      <p class="muted">
        {queued === 0
          ? 'Everything that was accepted is settled.'
          : isHeld
            ? 'It waits, in part or whole, until the delivery goes on.'
            : expectedEndAtMs !== null
              ? `At ${count(Math.round(callsPerSecond))} calls a second it is worked off in ${duration(Math.max(0, expectedEndAtMs - nowMs.value))}.`
              : `${count(Math.round(callsPerSecond))} calls a second now.`}
      </p>
      <dl class="health-facts">
        <dt>Oldest</dt>
        <dd>{oldestReceivedAtMs === null ? '–' : <Ago ms={oldestReceivedAtMs} />}</dd>
        <dt>Expected end</dt>
        <dd>{expectedEndAtMs === null ? '–' : <Time ms={expectedEndAtMs} />}</dd>
        <dt>People with events</dt>
        <dd>{count(people)}</dd>
        <dt>of them waiting for a retry</dt>
        <dd>{count(waiting)}</dd>
        <dt>Visitors waiting for a login</dt>
        <dd>{count(held)}</dd>
      </dl>
      {queued > 0 && <a href={href('events', [['status', 'queued']])}>See what is queued</a>}
    </section>
  );
}

function Quotas({ known }: { known: Overview }) {
  return (
    <section class="card health-part" aria-labelledby="quota-title">
      <h2 id="quota-title">Intercom's quota</h2>
      <p class="muted">Intercom counts calls in windows of 10 seconds. What does not fit waits for the next one.</p>
      {known.installations.length === 0 && (
        <p>
          No workspace yet: <a href={href('integrations')}>install one</a>.
        </p>
      )}
      {known.installations.map(({ id, name, quota }) => {
        const limit = quota.limit ?? 0;
        const leftMs = Math.max(0, (quota.windowEndsAtMs ?? 0) - nowMs.value);
        return (
          <div key={id} class="quota">
            <div class="quota-line">
              <b>{name}</b>
              <span>
                {quota.limit === null ? (
                  <span class="muted">the limit is known after the first call</span>
                ) : (
                  <>
                    <b>{count(quota.used)}</b> of {count(limit)} calls
                  </>
                )}
              </span>
            </div>
            <meter
              min={0}
              max={Math.max(1, limit)}
              value={quota.used}
              aria-label={`${name}: calls used of the current window`}
            >
              {quota.used} of {limit}
            </meter>
            <p class="muted small">
              {quota.waiting > 0 ? `${plural(quota.waiting, 'call')} waiting. ` : ''}
              {leftMs > 0 && quota.limit !== null
                ? `The window ends in ${Math.ceil(leftMs / 1000)} s.`
                : 'A new window begins with the next call.'}
            </p>
          </div>
        );
      })}
    </section>
  );
}

function Saved({ known }: { known: Overview }) {
  const { merged, unchanged, knownIds } = known.saved;
  const rows = [
    { number: merged, text: 'merged', more: 'identifies in a row of one person went out as one call' },
    { number: unchanged, text: 'unchanged', more: 'the values were in Intercom already, so no call was made' },
    { number: knownIds, text: 'without a search', more: 'the contact was known, and written to at once' },
  ];
  return (
    <section class="card health-part" aria-labelledby="saved-title">
      <h2 id="saved-title">Calls saved</h2>
      <p class="figure">
        {count(merged + unchanged + knownIds)}{' '}
        <span>{known.replicas.length > 0 ? 'since the database was made' : 'since the start'}</span>
      </p>
      <dl class="saved">
        {rows.map(({ number, text, more }) => (
          <div key={text}>
            <dt>{text}</dt>
            <dd>
              <b>{count(number)}</b> <span class="muted">{more}</span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function Parts({ known }: { known: Overview }) {
  return (
    <section class="card health-part" aria-labelledby="parts-title">
      <h2 id="parts-title">Parts</h2>
      <ul class="parts">
        <li>
          <span>
            <b>Store</b>
            <span class="muted">
              {known.store.ok ? 'takes events, synced to disk' : sentence(known.store.reason ?? 'takes no events')}
            </span>
          </span>
          <Status of={known.store.ok ? 'well' : 'failing'} />
        </li>
        {known.installations.map(({ id, name, status, hold }) => (
          <li key={id}>
            <span>
              <b>{name}</b>
              <span class="muted">{hold && status === 'held' ? sentence(hold.remedy) : statusTexts[status]}</span>
            </span>
            <Status of={status} />
          </li>
        ))}
      </ul>
      {known.version !== '' && <p class="muted small">Version {known.version}</p>}
    </section>
  );
}

function Replicas({ known }: { known: Overview }) {
  return (
    <section class="card health-part health-wide" aria-labelledby="replicas-title">
      <h2 id="replicas-title">Replicas</h2>
      <p class="muted">They share the database and the work. One that is gone is forgotten after a minute.</p>
      <table class="replicas">
        <thead>
          <tr>
            <th scope="col">Host</th>
            <th scope="col">Version</th>
            <th scope="col">Does</th>
            <th scope="col">Since</th>
            <th scope="col">Last seen</th>
          </tr>
        </thead>
        <tbody>
          {known.replicas.map(({ id, host, version, roles, sinceMs, lastSeenAtMs }) => (
            <tr key={id} title={id}>
              <th scope="row">{host}</th>
              <td>{version}</td>
              <td>{roles.join(', ')}</td>
              <td>{sinceMs === null ? '–' : <Time ms={sinceMs} />}</td>
              <td>{lastSeenAtMs === null ? '–' : <Ago ms={lastSeenAtMs} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

const statusTexts: Record<string, string> = {
  active: 'takes what is sent',
  paused: 'paused by hand; events are kept',
  starting: 'its token is being checked',
};
