import './sign-in.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Failure, send } from '../service/request.ts';
import { signedOutBecause, signIn } from '../service/session.ts';
import { Button } from '../widgets/button.tsx';
import { Field } from '../widgets/field.tsx';
import { FailureNotice, Notice } from '../widgets/notice.tsx';

export function SignIn() {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<string>();
  const [failure, setFailure] = useState<Failure | null>(null);
  const [isBusy, setBusy] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Signal → Intercom';
    input.current?.focus();
  }, []);

  async function submit(): Promise<void> {
    const given = token.trim();
    setFailure(null);
    if (given === '') {
      setProblem('Enter the token.');
      input.current?.focus();
      return;
    }
    setProblem(undefined);
    setBusy(true);
    const reply = await send('/events?limit=1', { headers: { authorization: `Bearer ${given}` } });
    setBusy(false);
    if (reply.ok) {
      signIn(given);
      return;
    }
    if (reply.failure.status === 401) setProblem('The service does not know this token. It is case-sensitive.');
    else setFailure(reply.failure);
    input.current?.focus();
  }

  return (
    <main class="sign-in">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <svg class="sign-in-logo" viewBox="0 0 32 32" width="36" height="36" aria-hidden="true">
          <rect width="32" height="32" rx="8" />
          <path d="M7 16h5l3-7 4 14 3-7h3" />
        </svg>
        <h1>Signal → Intercom</h1>
        <p class="muted">See what became of every event.</p>
        {signedOutBecause.value !== null && <Notice tone="warn" title={signedOutBecause.value} />}
        {failure && <FailureNotice failure={failure} what="The token could not be checked" />}
        <Field
          label="Admin token"
          problem={problem}
          help={
            <>
              The text of <code>ADMIN_TOKEN</code>. Where that is not set, one was made at the first start: it stands in
              the log line <code>admin.token_made</code> and beside the database, in the file that ends in{' '}
              <code>.admin-token</code>.
            </>
          }
        >
          {(given) => (
            <input
              {...given}
              ref={input}
              type="password"
              autocomplete="current-password"
              spellcheck={false}
              value={token}
              onInput={(event) => setToken(event.currentTarget.value)}
            />
          )}
        </Field>
        <Button kind="primary" type="submit" isBusy={isBusy}>
          {isBusy ? 'Checking…' : 'Sign in'}
        </Button>
        <p class="muted small">Kept in this tab only, and forgotten when it is closed.</p>
      </form>
    </main>
  );
}
