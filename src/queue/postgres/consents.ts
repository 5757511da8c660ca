import type { Consent, NewEvent } from '../queue.ts';
import type { Transaction } from './database.ts';

type Statement = Consent & { atMs: number };

/**
 * Only people who ever withheld something have a row. A time in the future counts as now, so that a wrong clock
 * cannot make an old consent outlive a newer refusal.
 */
export async function rememberConsent(tx: Transaction, arrivals: { line: string; event: NewEvent }[]): Promise<void> {
  const granted = new Map<string, Statement>();
  const withheld = new Map<string, Statement>();
  for (const { line, event } of arrivals) {
    if (event.consent === null) continue;
    const statement = { ...event.consent, atMs: Math.min(event.atMs, event.receivedAtMs) };
    const withholds = !statement.functional || !statement.marketing;
    // What comes before the first refusal counts for who has a row already, and nobody else.
    const into = withholds || withheld.has(line) ? withheld : granted;
    const known = into.get(line);
    if (!known || statement.atMs >= known.atMs) into.set(line, statement);
  }
  const newer = 'SET at = s.at, functional = s.functional, marketing = s.marketing';
  const given =
    'unnest($1::text[], $2::bigint[], $3::boolean[], $4::boolean[]) AS s (person, at, functional, marketing)';
  if (granted.size > 0) {
    await tx.query(
      `UPDATE consent ${newer} FROM ${given} WHERE consent.person = s.person AND s.at >= consent.at`,
      columnsOf(granted),
    );
  }
  if (withheld.size > 0) {
    await tx.query(
      `INSERT INTO consent AS c (person, at, functional, marketing) SELECT * FROM ${given}
       ON CONFLICT (person) DO UPDATE SET at = excluded.at, functional = excluded.functional, marketing = excluded.marketing
       WHERE excluded.at >= c.at`,
      columnsOf(withheld),
    );
  }
}

function columnsOf(statements: Map<string, Statement>): unknown[] {
  const values = [...statements.values()];
  return [
    [...statements.keys()],
    values.map(({ atMs }) => atMs),
    values.map(({ functional }) => functional),
    values.map(({ marketing }) => marketing),
  ];
}
