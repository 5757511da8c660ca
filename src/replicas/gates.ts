import type { GateStore, GateView } from '../dispatch/shared-gate.ts';
import type { Database } from '../queue/postgres/database.ts';
import { ifReachable } from './reachable.ts';

/** The gates of all installations in PostgreSQL; who look at the same time are answered by one query. */
export function openPostgresGates(db: Pick<Database, 'query'>): (installation: string) => GateStore {
  let looking: Look[] = [];

  function look(installation: string, target: string): Promise<GateView | null> {
    return new Promise((resolve, reject) => {
      looking.push({ installation, target, resolve, reject });
      if (looking.length === 1) setImmediate(() => void answerAll());
    });
  }

  async function answerAll(): Promise<void> {
    const asked = looking;
    looking = [];
    const keys = [asked.map(({ installation }) => installation), asked.map(({ target }) => target)];
    try {
      const rows = await ifReachable(() => db.query<Row>(lookAtGates, keys, answerMs));
      for (const [n, { resolve }] of asked.entries()) resolve(rows && viewOf(rows[n]));
    } catch (error) {
      for (const { reject } of asked) reject(error);
    }
  }

  async function put(installation: string, target: string, version: number, state: string): Promise<boolean> {
    const rows = await ifReachable(() => db.query(putGate, [installation, target, version, state], answerMs));
    return rows !== null && rows.length > 0;
  }

  return (installation) => ({
    look: (target) => look(installation, target),
    put: (target, version, state) => put(installation, target, version, state),
  });
}

type Look = {
  installation: string;
  target: string;
  resolve(view: GateView | null): void;
  reject(error: unknown): void;
};

type Row = { version: number; state: string | null; nowMs: number };

const answerMs = 2000;

const lookAtGates = `
SELECT coalesce(gate.version, 0) AS version, gate.state, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "nowMs"
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (installation, target, n)
  LEFT JOIN gate USING (installation, target) ORDER BY n`;

const putGate = `
INSERT INTO gate (installation, target, version, state) VALUES ($1, $2, $3::bigint + 1, $4)
ON CONFLICT (installation, target) DO UPDATE SET version = excluded.version, state = excluded.state
  WHERE gate.version = $3::bigint
RETURNING version`;

function viewOf(row: Row | undefined): GateView {
  if (!row) throw new Error('a look at a gate was not answered');
  return row;
}
