import { useCallback, useEffect, useState } from 'preact/hooks';
import { ask, type Failure } from './request.ts';

export type Asked<T> = { answer: T | null; failure: Failure | null; again(): void };

/** What the service answers to a GET; asked again when one of the reasons changes. The last answer stays meanwhile. */
export function useAnswer<T>(path: string, read: (body: unknown) => T, reasons: readonly unknown[] = []): Asked<T> {
  const [answer, setAnswer] = useState<T | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const ending = new AbortController();
    async function look(): Promise<void> {
      const reply = await ask(path, { signal: ending.signal });
      if (ending.signal.aborted) return;
      setFailure(reply.ok ? null : reply.failure);
      if (reply.ok) setAnswer(read(reply.body));
    }
    void look();
    return () => ending.abort();
  }, [path, times, ...reasons]);
  const again = useCallback(() => setTimes((before) => before + 1), []);
  return { answer, failure, again };
}
