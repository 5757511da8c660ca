import './screen.css';
import { useState } from 'preact/hooks';
import { type Explained, readExplanation, readSent, type Sent } from '../service/explanation.ts';
import { overview } from '../service/overview.ts';
import { ask, type Failure, send } from '../service/request.ts';
import { announce } from '../shell/announcer.tsx';
import { Button, CopyButton } from '../widgets/button.tsx';
import { FailureNotice, Notice } from '../widgets/notice.tsx';
import { plural } from '../widgets/time.tsx';
import { Credentials, type Credential, credentialHeaders } from './credentials.tsx';
import { ExplainedEvent, SentEvents } from './results.tsx';
import { samples } from './samples.ts';

type Result =
  | { kind: 'explained'; events: Explained[] }
  | { kind: 'sent'; status: number; events: Sent[] }
  | { kind: 'failed'; what: string; failure: Failure };

/** An event by hand: first what would be done with it, then, if one likes, for real. */
export function TryScreen() {
  const [text, setText] = useState(() => format(samples[2]?.event));
  const [busy, setBusy] = useState<'explain' | 'send' | null>(null);
  const [result, setResult] = useState<Result | null>(null);
  const [credential, setCredential] = useState<Credential>({ kind: 'none', text: '' });
  const [isRefused, setRefused] = useState(false);
  const [installation, setInstallation] = useState('');
  const problem = jsonProblem(text);
  const installations = overview.value?.installations ?? [];
  const id = installation === '' ? (installations[0]?.id ?? '') : installation;
  const path = installations.length > 1 ? `/ingest/${encodeURIComponent(id)}` : '/ingest';
  const asked = installations.length > 1 ? `/explain?${new URLSearchParams({ installation: id })}` : '/explain';

  async function explain(): Promise<void> {
    setBusy('explain');
    const reply = await ask(asked, { method: 'POST', body: text });
    setBusy(null);
    if (!reply.ok)
      return setResult({ kind: 'failed', what: 'The event could not be explained', failure: reply.failure });
    const events = readExplanation(reply.body);
    setResult({ kind: 'explained', events });
    announce(`Explained: ${events.map(({ status }) => status.replaceAll('_', ' ')).join(', ')}`);
  }

  async function sendIt(): Promise<void> {
    setBusy('send');
    const reply = await send(path, {
      method: 'POST',
      body: text,
      headers: { prefer: 'wait=8', ...credentialHeaders(credential) },
    });
    setBusy(null);
    setRefused(!reply.ok && reply.failure.status === 401);
    // What is refused for good, or in part, says of each event what is wrong with it.
    const events = readSent(reply.ok ? reply.body : reply.failure.body);
    const status = reply.ok ? reply.status : (reply.failure.status ?? 0);
    if (events.length > 0) {
      setResult({ kind: 'sent', status, events });
      announce(`Sent: ${status}, ${events.map((event) => event.status).join(', ')}`);
    } else if (!reply.ok) setResult({ kind: 'failed', what: 'The event was not accepted', failure: reply.failure });
  }

  return (
    <>
      <div class="screen-head">
        <div>
          <h1>Try it</h1>
          <p>See the exact Intercom calls for an event. Explaining sends and stores nothing.</p>
        </div>
      </div>
      <div class="try-columns">
        <section class="card try-input" aria-label="Event">
          <div class="row" role="group" aria-label="Sample events">
            {samples.map(({ name, event }) => (
              <Button
                key={name}
                isPressed={text === format(event)}
                onClick={() => {
                  setText(format(event));
                  setResult(null);
                }}
              >
                {name}
              </Button>
            ))}
          </div>
          <div class="field">
            <label for="event-text">Event, as Signal sends it: one, or an array</label>
            <textarea
              id="event-text"
              spellcheck={false}
              value={text}
              aria-invalid={problem !== null}
              aria-describedby="event-text-state"
              onInput={(event) => setText(event.currentTarget.value)}
            />
            <p id="event-text-state" class={problem === null ? 'field-help' : 'field-problem'}>
              {problem ?? 'Valid JSON.'}
            </p>
          </div>
          {installations.length > 1 && (
            <div class="field">
              <label for="try-path">Integration</label>
              <select id="try-path" value={id} onChange={(event) => setInstallation(event.currentTarget.value)}>
                {installations.map((one) => (
                  <option key={one.id} value={one.id}>
                    {one.name}
                  </option>
                ))}
              </select>
            </div>
          )}
          <Credentials value={credential} isRefused={isRefused} onChange={setCredential} />
          <div class="row">
            <Button
              kind="primary"
              isBusy={busy === 'explain'}
              isDisabled={problem !== null}
              onClick={() => void explain()}
            >
              Explain
            </Button>
            <Button isBusy={busy === 'send'} isDisabled={problem !== null} onClick={() => void sendIt()}>
              {busy === 'send' ? 'Sending…' : 'Send for real'}
            </Button>
            <CopyButton text={curlOf(path, text)} what="curl command">
              Copy as curl
            </CopyButton>
          </div>
        </section>
        <section class="try-result" aria-label="Result">
          {result === null && (
            <div class="card nothing">
              <h2>Nothing tried yet</h2>
              <p class="muted">
                <b>Explain</b> shows the consent decision and its basis, the person, and each call with its body.{' '}
                <b>Send for real</b> delivers the event to your Intercom workspace.
              </p>
            </div>
          )}
          {result?.kind === 'failed' && <FailureNotice what={result.what} failure={result.failure} />}
          {result?.kind === 'sent' && <SentEvents status={result.status} events={result.events} />}
          {result?.kind === 'explained' && (
            <>
              {result.events.length > 1 && (
                <Notice tone="wait" title={`${plural(result.events.length, 'event')}, in the order they are sent`} />
              )}
              {result.events.map((event) => (
                <ExplainedEvent key={event.index} event={event} />
              ))}
            </>
          )}
        </section>
      </div>
    </>
  );
}

const format = (event: unknown): string => JSON.stringify(event, null, 2) ?? '';

function jsonProblem(text: string): string | null {
  if (text.trim() === '') return 'Paste an event, or pick a sample.';
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return `This is no JSON: ${error instanceof Error ? error.message : 'it can not be read'}`;
  }
}

function curlOf(path: string, text: string): string {
  return `curl -i ${location.origin}${path} -H 'content-type: application/json' -d '${text.replaceAll("'", String.raw`'\''`)}'`;
}
