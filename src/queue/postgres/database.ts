import { createHash } from 'node:crypto';
import { DatabaseError, Pool, types, type PoolClient, type QueryResult, type QueryResultRow } from 'pg';
import { QueueUnavailable } from '../queue.ts';

/**
 * Connections to PostgreSQL: transactions that end in time, or are given up with their connection.
 *
 * Works through PgBouncer in transaction mode: no session settings, no LISTEN, and named statements only where nothing
 * stands between. Times are limited on this side alone, because a `statement_timeout` that ends a commit's wait for a
 * synchronous standby lets the commit succeed without it.
 */
export type Database = {
  /** One statement on its own. Rejects with `QueueUnavailable` when the database can't be reached or is too slow. */
  query<R extends QueryResultRow>(text: string, values?: unknown[], limitMs?: number): Promise<R[]>;
  /** The same for a statement of every event, as `TransactionLimits.prepared` has it. */
  prepared<R extends QueryResultRow>(text: string, values: unknown[], limitMs?: number): Promise<R[]>;
  /** Everything in `work` or nothing. A conflict with other replicas (deadlock, serialisation) runs it again. */
  transaction<T>(work: (tx: Transaction) => Promise<T>, limits?: TransactionLimits): Promise<T>;
  close(): Promise<void>;
};

export type TransactionLimits = {
  limitMs?: number;
  /** For the statements of every event: read and analysed once for a connection. Their texts must be a fixed few. */
  prepared?: boolean;
};

/** The database, or a transaction of it. */
export type Reader = Pick<Transaction, 'query'>;

export type Transaction = {
  query<R extends QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>;
  /**
   * The commit goes out with what was just asked, in one message, and fails with it. For whoever has nothing left to
   * ask or to decide; who does not call it has the commit follow on its own.
   */
  commit(): void;
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
/**
 * Read once, planned each time: a plan that is kept and was made for an empty queue reads a backlog to its end for every
 * event, until the statistics are taken anew. What is asked for is always a few rows by their keys; the rest keeps the
 * planner from reading a table where the statistics are old, and from weighing merge joins, for which it looks for the
 * lowest key that is alive, past all that were delivered since the last vacuum (of a million people, 47 ms a claim).
 */
const beginPrepared = [
  begin,
  'SET LOCAL plan_cache_mode = force_custom_plan',
  ...['seqscan', 'hashjoin', 'mergejoin'].map((way) => `SET LOCAL enable_${way} = off`),
].join('; ');

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
  /** Connections that are the server's own: a pooler gives its clients numbers that are no process of the server. */
  const direct = new WeakSet<PoolClient>();
  pool.on('connect', (client) => {
    client
      .query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
      .then(({ rows }) => 'processID' in client && client.processID === rows[0]?.pid && direct.add(client))
      .catch(ignore); // whoever wanted the connection is told
  });
  let prepares = true;

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

  async function once<T>(
    work: (tx: Transaction) => Promise<T>,
    { limitMs = usualLimitMs, prepared = false }: TransactionLimits,
  ): Promise<T> {
    return withClient(limitMs, async (client) => {
      const named = prepared && prepares && direct.has(client);
      let unsynced = '';
      const notice = (message: { message?: string | undefined; routine?: string | undefined }): void => {
        if (message.routine === 'SyncRepWaitForLSN') unsynced = message.message ?? 'the commit was not replicated';
      };
      let committed: Promise<QueryResult> | undefined;
      function commit(): Promise<QueryResult> {
        committed ??= send(client, 'COMMIT');
        committed.catch(ignore);
        return committed;
      }
      client.on('notice', notice);
      try {
        const begun = send(client, named ? beginPrepared : begin);
        begun.catch(ignore); // then what follows it fails as well
        const value = await work({
          query: async (text, values) => (await send(client, text, values, named)).rows,
          commit: () => void commit(),
        });
        await begun;
        // The server answers the commit of a transaction in which a statement failed, too.
        if ((await commit()).command !== 'COMMIT') throw new Error('the transaction was rolled back by the database');
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

  async function transaction<T>(work: (tx: Transaction) => Promise<T>, limits: TransactionLimits = {}): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await once(work, limits);
      } catch (error) {
        if (error instanceof Rollback) return error.value;
        if (isUnprepared(error)) prepares = false;
        else if (!(error instanceof Again || isConflict(error))) throw error;
        if (tried === triesAtMost) throw error;
      }
    }
  }

  return {
    query: (text, values, limitMs = usualLimitMs) =>
      withClient(limitMs, async (client) => (await client.query(text, values)).rows),
    prepared: <R extends QueryResultRow>(text: string, values: unknown[], limitMs = usualLimitMs) =>
      transaction(
        (tx) => {
          const rows = tx.query<R>(text, values);
          tx.commit();
          return rows;
        },
        { limitMs, prepared: true },
      ),
    transaction,
    close: () => pool.end(),
  };
}

const ignore = (): void => {};

/** What is asked in one turn goes out in one piece: a piece for each would wake the server as often. */
function send(client: PoolClient, text: string, values?: unknown[], named = false): Promise<QueryResult> {
  const { stream } = client.connection;
  if (stream.writableCorked === 0) {
    stream.cork();
    process.nextTick(() => stream.uncork());
  }
  return client.query({ text, ...(values && { values }), ...(named && values && { name: nameOf(text) }) });
}

const names = new Map<string, string>();

/** By its text, so that a name never stands for another statement, whoever else uses the connection. */
function nameOf(text: string): string {
  const known = names.get(text);
  if (known !== undefined) return known;
  const name = createHash('sha256').update(text).digest('base64url').slice(0, 22);
  names.set(text, name);
  return name;
}

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
 * A named statement that is not there (26000), or is already (42P05): a pooler stands between after all. Or it was made
 * before a migration changed what it returns.
 */
function isUnprepared(error: unknown): boolean {
  const code = codeOf(error);
  const isStale = code === '0A000' && error instanceof DatabaseError && error.routine === 'RevalidateCachedQuery';
  return code === '26000' || code === '42P05' || isStale;
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
