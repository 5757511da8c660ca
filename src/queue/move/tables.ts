import type { Database } from '../sqlite/database.ts';

/** A table of PostgreSQL, and the rows of the SQLite file that belong into it, as values of its columns. */
export type Table = {
  name: string;
  columns: Record<string, 'text' | 'number' | 'boolean' | 'uuid' | 'texts'>;
  rows(): Iterable<Row>;
};

export type Value = string | number | boolean | null | string[];
export type Row = Record<string, Value>;

const dayMs = 86_400_000;
const replacement = '\uFFFD';

/**
 * Everything that the file holds, but for what is made of it (lanes, the counters of the queued). Read as streams, in
 * the order in which each table grows.
 */
export function tablesOf(db: Database): Table[] {
  const names = new Set(
    db
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")
      .all()
      .map((row) => String(row.name)),
  );
  const current = currentPerson(db);

  /** A file that an older release made may lack a table: then there is nothing to move of it. */
  function* read(table: string, sql: string, change: (row: Row) => Row = (row) => row): Iterable<Row> {
    if (!names.has(table)) return;
    for (const row of db.prepare(sql).iterate()) yield change(storable(row as Row));
  }

  const ofEvent = (table: string, sql: string, none: string): string => (names.has(table) ? sql : none);
  const trace = ofEvent('trace', '(SELECT traceparent FROM trace WHERE trace.seq = event.seq)', 'NULL');
  const wasHeld = ofEvent('was_held', 'EXISTS (SELECT 1 FROM was_held WHERE was_held.seq = event.seq)', '0');
  const nowMs = Date.now();

  function* seen(): Iterable<Row> {
    const days = [...names].filter((name) => /^seen_day_\d+$/.test(name)).sort();
    for (const name of days) {
      // When in its day an id came is not kept: it is remembered until its whole day has left the window.
      const at = Math.min(nowMs, (Number(name.slice('seen_day_'.length)) + 1) * dayMs - 1);
      yield* read(name, `SELECT hex(print) AS print, seq, ${at} AS at FROM ${name}`, withUuid);
    }
    yield* read('seen_recent', 'SELECT hex(print) AS print, seq, at FROM seen_recent ORDER BY seq', withUuid);
  }

  return [
    {
      name: 'event',
      columns: {
        seq: 'number',
        installation: 'text',
        message_id: 'text',
        type: 'text',
        name: 'text',
        user_id: 'text',
        email: 'text',
        anonymous_id: 'text',
        received_at: 'number',
        at: 'number',
        decision: 'text',
        payload: 'text',
        trace: 'text',
        was_held: 'boolean',
      },
      rows: () =>
        read(
          'event',
          `SELECT event.*, ${trace} AS trace, ${wasHeld} AS was_held FROM event ORDER BY seq`,
          withBooleans('was_held'),
        ),
    },
    {
      name: 'job',
      columns: { seq: 'number', person: 'text', due_at: 'number', attempts: 'number', created_at: 'number' },
      // A key that was tied to somebody since: in PostgreSQL a job stands in the line of who it belongs to now.
      rows: () =>
        read('job', 'SELECT seq, person, due_at, attempts, created_at FROM job ORDER BY seq', (row) => ({
          ...row,
          person: current(String(row.person)),
        })),
    },
    {
      name: 'settled',
      columns: {
        seq: 'number',
        at: 'number',
        status: 'text',
        reason: 'text',
        person: 'text',
        attempts: 'number',
        intercom_status: 'number',
        calls: 'number',
        created_at: 'number',
      },
      rows: () => read('settled', 'SELECT * FROM settled ORDER BY seq'),
    },
    {
      name: 'attempt',
      columns: {
        seq: 'number',
        n: 'number',
        at: 'number',
        outcome: 'text',
        reason: 'text',
        intercom_status: 'number',
        calls: 'number',
        ms: 'number',
        exchange: 'text',
      },
      rows: () => read('attempt', 'SELECT * FROM attempt ORDER BY seq, n'),
    },
    {
      name: 'contact',
      columns: { person: 'text', record: 'text' },
      rows: () => read('contact', 'SELECT * FROM contact ORDER BY person'),
    },
    {
      name: 'alias',
      columns: { key: 'text', person: 'text' },
      rows: () => read('alias', 'SELECT * FROM alias ORDER BY key'),
    },
    {
      name: 'joined',
      columns: { person: 'text', source: 'text' },
      rows: () => read('joined', 'SELECT * FROM joined ORDER BY person, source'),
    },
    {
      name: 'consent',
      columns: { person: 'text', at: 'number', functional: 'boolean', marketing: 'boolean' },
      rows: () => read('consent', 'SELECT * FROM consent ORDER BY person', withBooleans('functional', 'marketing')),
    },
    { name: 'seen', columns: { print: 'uuid', seq: 'number', at: 'number' }, rows: seen },
    {
      name: 'erasure',
      columns: { seq: 'number', keys: 'texts', walked: 'number', devices: 'texts' },
      rows: () =>
        read('erasure', 'SELECT * FROM erasure ORDER BY seq', (row) => ({
          ...row,
          keys: JSON.parse(String(row.keys)),
          devices: JSON.parse(String(row.devices)),
        })),
    },
    {
      name: 'installation',
      columns: { id: 'text', record: 'text' },
      rows: () => read('installation', 'SELECT id, record FROM installation ORDER BY rowid'),
    },
    {
      name: 'audit',
      columns: {
        id: 'number',
        at: 'number',
        action: 'text',
        resource: 'text',
        changes: 'text',
        ip_address: 'text',
        user_agent: 'text',
      },
      rows: () => read('audit', 'SELECT * FROM audit ORDER BY id'),
    },
    {
      name: 'total',
      columns: { name: 'text', slot: 'number', n: 'number' },
      rows: () => read('total', "SELECT name, 0 AS slot, n FROM total WHERE name <> 'last_seq' ORDER BY name"),
    },
  ];
}

/** The highest number that was ever given to an event, forgotten ones included. */
export function lastSeqOf(db: Database): number {
  const row = db
    .prepare(
      "SELECT max(coalesce((SELECT max(seq) FROM event), 0), coalesce((SELECT n FROM total WHERE name = 'last_seq'), 0)) AS seq",
    )
    .get();
  return Number(row?.seq);
}

/** As src/queue/kinship.ts has it: a key may have been tied to one that was tied to another in turn. */
function currentPerson(db: Database): (key: string) => string {
  const alias = db.prepare('SELECT person FROM alias WHERE key = ?');
  return (key) => {
    let person = key;
    for (let next = alias.get(person)?.person; typeof next === 'string' && next !== person;)
      [person, next] = [next, alias.get(next)?.person];
    return person;
  };
}

/** PostgreSQL's text has no NUL. */
function storable(row: Row): Row {
  for (const [name, value] of Object.entries(row))
    if (typeof value === 'string' && value.includes('\0')) row[name] = value.replaceAll('\0', replacement);
  return row;
}

const withBooleans =
  (...names: string[]) =>
  (row: Row): Row => ({ ...row, ...Object.fromEntries(names.map((name) => [name, row[name] === 1])) });

function withUuid(row: Row): Row {
  const hex = String(row.print).toLowerCase();
  const print = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return { ...row, print };
}
