import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { laneState, nowMs } from '../postgres/lanes.ts';
import { migrate } from '../postgres/migrate.ts';
import { queuedIn } from '../postgres/totals.ts';
import { lockDatabase } from '../sqlite/database.ts';
import { type Checksum, checksumQuery, createChecksum } from './checksum.ts';
import { lastSeqOf, type Row, type Table, tablesOf } from './tables.ts';

/**
 * A queue from its SQLite file into an empty PostgreSQL database, in one transaction: all of it, or, where it is
 * interrupted, nothing. The file is only read. Before the commit each table is counted and summed on both sides.
 */
export type Moved = { table: string; rows: number; sum: string }[];

export type MoveOptions = {
  /** The SQLite file. */
  from: string;
  /** The URL of the PostgreSQL database. */
  to: string;
  onTable?(moved: Moved[number]): void;
};

/** Nothing was moved; the message says what to do. */
export class MoveRefused extends Error {}

/** A statement takes so many rows, or so many bytes of JSON: what is in memory is bounded. */
const batchRows = 2000;
const batchChars = 1_000_000;
const replicaName = 'signal-intercom';

export async function move({ from, to, onTable }: MoveOptions): Promise<Moved> {
  if (!existsSync(from)) throw new MoveRefused(`${from} does not exist`);
  const lock = lockDatabase(from);
  const db = new DatabaseSync(from, { readOnly: true, timeout: 5000 });
  try {
    db.exec('BEGIN'); // one state of the file, whatever an operator's sqlite3 does meanwhile
    await migrate(to);
    const client = new Client({ connectionString: to, application_name: 'signal-intercom-move', keepAlive: true });
    client.on('error', () => {}); // the query under way tells of it
    await client.connect();
    try {
      return await moveWithin(client, db, onTable);
    } finally {
      await client.end().catch(() => {});
    }
  } finally {
    db.close();
    lock.release();
  }
}

async function moveWithin(client: Client, db: DatabaseSync, onTable: MoveOptions['onTable']): Promise<Moved> {
  const tables = tablesOf(db);
  await requireUnused(client);
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  await client.query("SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '5s', true)");
  await client.query(`LOCK TABLE ${[...tables.map(({ name }) => `"${name}"`), 'lane'].join(', ')} IN EXCLUSIVE MODE`);
  await requireEmpty(client, tables);
  const moved: Moved = [];
  for (const table of tables) {
    const read = await copy(client, table);
    await requireSame(client, table, read);
    moved.push({ table: table.name, ...read });
    onTable?.({ table: table.name, ...read });
  }
  await makeLanes(client);
  await countQueued(client);
  await continueNumbers(client, lastSeqOf(db));
  await client.query('COMMIT');
  await client.query('ANALYZE');
  return moved;
}

/** A replica that was killed leaves its last word behind. */
const silentMs = 6000;

/** Replicas hold what they know of installations in memory, and are not told of what is moved in under them. */
async function requireUnused(client: Client): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    const { rowCount } = await client.query(
      `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()
       UNION SELECT 1 FROM replica WHERE seen_at > ${nowMs} - $2`, // where a pooler stands between, they are known by what they say
      [replicaName, silentMs],
    );
    if (!rowCount) return;
    if (tried === 13)
      throw new MoveRefused('replicas are connected to the target: stop them first, and start them after the move');
    await delay(500); // a connection that was just closed may be listed for a moment
  }
}

async function requireEmpty(client: Client, tables: Table[]): Promise<void> {
  for (const { name } of tables) {
    const { rowCount } = await client.query(
      `SELECT 1 FROM "${name}" ${name === 'total' ? 'WHERE n <> 0' : ''} LIMIT 1`,
    );
    if (rowCount)
      throw new MoveRefused(
        `the target is not empty (table ${name}): make a database for the move, or drop and make this one anew if nothing in it is needed`,
      );
  }
  await client.query('DELETE FROM total'); // counters that stand at 0
}

/** While PostgreSQL stores a batch, the next one is read. */
async function copy(client: Client, { name, columns, rows }: Table): Promise<Checksum> {
  const names = Object.keys(columns)
    .map((column) => `"${column}"`)
    .join(', ');
  const insert = `INSERT INTO "${name}" (${names}) OVERRIDING SYSTEM VALUE
    SELECT ${names} FROM json_populate_recordset(NULL::"${name}", $1)`;
  const checksum = createChecksum(columns);
  let storing: Promise<unknown> = Promise.resolve();
  for (const batch of batches(rows(), checksum.add)) {
    await storing;
    storing = client.query(insert, [batch]);
    storing.catch(() => {}); // awaited with the next batch
  }
  await storing;
  return checksum.value();
}

function* batches(rows: Iterable<Row>, onRow: (row: Row) => void): Iterable<string> {
  let batch: string[] = [];
  let chars = 0;
  for (const row of rows) {
    onRow(row);
    const json = JSON.stringify(row);
    batch.push(json);
    chars += json.length;
    if (batch.length < batchRows && chars < batchChars) continue;
    yield `[${batch.join(',')}]`;
    batch = [];
    chars = 0;
  }
  if (batch.length > 0) yield `[${batch.join(',')}]`;
}

async function requireSame(client: Client, table: Table, read: Checksum): Promise<void> {
  const { rows } = await client.query<Checksum>(checksumQuery(table));
  const stored = rows[0];
  if (stored?.rows === read.rows && stored.sum === read.sum) return;
  throw new Error(
    `${table.name} does not have in PostgreSQL what it has in the file (${stored?.rows} of ${read.rows} rows, sum ${stored?.sum} instead of ${read.sum}): nothing was moved`,
  );
}

/** Everybody who has jobs; due in the order in which their first jobs came. */
async function makeLanes(client: Client): Promise<void> {
  await client.query(
    `INSERT INTO lane (person, installation, queued, state, due_at)
     SELECT person, split_part(person, '/', 1), n, state,
       CASE WHEN state = ${laneState.free} THEN greatest(first.due_at, least(event.received_at, ${nowMs})) ELSE 0 END
     FROM (SELECT person, count(*)::int AS n, min(seq) AS seq,
         CASE WHEN strpos(person, '/anon:') > 0 THEN ${laneState.held} ELSE ${laneState.free} END AS state
       FROM job GROUP BY person) AS line
     JOIN job AS first USING (person, seq) JOIN event USING (seq)`,
  );
  // Who comes with the keys of somebody who is being erased waits until that has ended. See src/queue/postgres/blockers.ts.
  await client.query(
    `INSERT INTO lane (person, installation, blockers)
     SELECT key, split_part(key, '/', 1), count(*) FROM erasure JOIN job USING (seq), unnest(keys) AS key
     WHERE strpos(key, '/anon:') = 0 GROUP BY key ON CONFLICT (person) DO UPDATE SET blockers = excluded.blockers`,
  );
}

async function countQueued(client: Client): Promise<void> {
  await client.query(
    `INSERT INTO total (name, slot, n) SELECT $1 || installation, 0, sum(queued) FROM lane WHERE queued > 0 GROUP BY installation`,
    [queuedIn('')],
  );
}

async function continueNumbers(client: Client, lastSeq: number): Promise<void> {
  if (lastSeq > 0) await client.query("SELECT setval('event_seq', $1)", [lastSeq]);
  await client.query(
    "SELECT setval(pg_get_serial_sequence('audit', 'id'), max(id)) FROM audit HAVING max(id) IS NOT NULL",
  );
}
