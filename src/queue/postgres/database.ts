import { Pool, types, type PoolClient, type QueryResultRow } from 'pg';
import { QueueUnavailable } from '../queue.ts';

/**
 * Connections to PostgreSQL: transactions that end in time, or are given up with their connection.
 *
 * Works through PgBouncer in transaction mode: no named statements, no session settings, no LISTEN. Times are limited
 * on this side alone, because a `statement_timeout` that ends a commit's wait for a synchronous standby lets the
 * commit succeed without it.
 */
export type Database = {
  /** One statement on its own. Rejects with `QueueUnavailable` when the database can't be reached or is too slow. */
  query<R extends QueryResultRow>(text: string, values?: unknown[], limitMs?: number): Promise<R[]>;
  /** Everything in `work` or nothing. A conflict with other replicas (deadlock, serialisation) runs it again. */
  transaction<T>(work: (tx: Transaction) => Promise<T>, limitMs?: number): Promise<T>;
  close(): Promise<void>;
};

export type Transaction = {
  query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
};

/** Thrown inside a transaction: roll back, and run it again. */
export class Again extends Error {}
/** Thrown inside a transaction: roll back, and this is its result. */
export class Rollback<T> extends Error {
  readonly value: T;
  constructor(value: T) {
    super('rolled back on purpose');
    this.value = value;
  }
}

export const usualLimitMs = 10_000;
const connectMs = 2000;
const triesAtMost = 10;
/**
 * A process that stalls, or whose machine is gone without a word, between two statements of a transaction would hold
 * the rows that it locked, and with them the takeover of its leases, until TCP notices (hours). As long as a lease; the
 * wait of a commit for a standby is no idleness. LOCAL, since PgBouncer gives the session to others.
 */
const begin = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'";

// Counters and times are bigint; all of them are below 2^53.
types.setTypeParser(types.builtins.INT8, Number);

export function openDatabase(
  url: string,
  options: { connections: number; onNotice?: (text: string) => void },
): Database {
  const pool = new Pool({
    connectionString: url,
    max: options.connections,
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    application_name: 'signal-intercom',
    pipeline: true, // what is asked at once is sent at once, and answered in order
  });
  pool.on('error', () => {}); // an idle connection that broke: the next one is made when it is needed

  async function withClient<T>(limitMs: number, work: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient;
    try {
      client = await pool.connect();
    } catch (error) {
      throw unavailable(error);
    }
    client.on('error', ignore);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new QueueUnavailable('cannot_store', 'the database answers too slowly')),
        limitMs,
      );
    });
    const working = work(client);
    working.catch(ignore);
    try {
      const value = await Promise.race([working, late]);
      release(client);
      return value;
    } catch (error) {
      // A connection in an unknown state is never used again; the server rolls back what it has not committed.
      release(client, error instanceof QueueUnavailable || isConnectionError(error));
      throw isConnectionError(error) ? unavailable(error) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  function release(client: PoolClient, destroy = false): void {
    client.off('error', ignore);
    if (destroy) client.on('error', ignore); // it may still tell of its end
    client.release(destroy);
  }

  async function once<T>(work: (tx: Transaction) => Promise<T>, limitMs: number): Promise<T> {
    return withClient(limitMs, async (client) => {
      let unsynced = '';
      const notice = (message: { message?: string | undefined; routine?: string | undefined }): void => {
        if (message.routine === 'SyncRepWaitForLSN') unsynced = message.message ?? 'the commit was not replicated';
      };
      client.on('notice', notice);
      try {
        const begun = client.query(begin);
        begun.catch(ignore); // then what follows it fails as well
        const value = await work({ query: async (text, values) => (await client.query(text, values)).rows });
        await begun;
        await client.query('COMMIT');
        if (unsynced) throw new QueueUnavailable('cannot_store', unsynced);
        return value;
      } catch (error) {
        if (error instanceof QueueUnavailable || isConnectionError(error)) throw error;
        await client.query('ROLLBACK');
        throw error;
      } finally {
        client.off('notice', notice);
      }
    });
  }

  return {
    query: (text, values, limitMs = usualLimitMs) =>
      withClient(limitMs, async (client) => (await client.query(text, values)).rows),
    async transaction(work, limitMs = usualLimitMs) {
      for (let tried = 1; ; tried += 1) {
        try {
          return await once(work, limitMs);
        } catch (error) {
          if (error instanceof Rollback) return error.value;
          if (tried === triesAtMost || !(error instanceof Again || isConflict(error))) throw error;
        }
      }
    },
    close: () => pool.end(),
  };
}

const ignore = (): void => {};

function unavailable(error: unknown): QueueUnavailable {
  const text =
    error instanceof Error ? error.message || ('code' in error ? String(error.code) : error.name) : String(error);
  return new QueueUnavailable('cannot_store', `the database can't be reached: ${text}`);
}

/** SQLSTATE: 40001 serialisation failure, 40P01 deadlock. */
function isConflict(error: unknown): boolean {
  const code = codeOf(error);
  return code === '40001' || code === '40P01';
}

/**
 * The connection or the server is gone, or the server does not take writes now: classes 08 (connection), 57 (operator
 * intervention: shutdown, crash), 53 (out of disk, memory, connections), 58 (I/O error), 25006 (a standby), 25P03 (idle
 * for too long within a transaction).
 */
function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error) || error instanceof QueueUnavailable) return false;
  const code = codeOf(error);
  if (code === undefined)
    return (
      error.message.startsWith('Connection terminated') ||
      error.message.includes('not queryable') ||
      error.message.startsWith('timeout exceeded')
    );
  return /^(08|57|53|58)/.test(code) || code === '25006' || code === '25P03' || /^E[A-Z]+$/.test(code);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
