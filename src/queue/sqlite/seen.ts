import { fingerprint } from '../fingerprint.ts';
import type { Database } from './database.ts';

/**
 * The messageIds of at least the last 7 days, exact, in bounded memory.
 *
 * The newest million are found by 64 bits of their fingerprint in memory (12 bytes a slot); a hit is confirmed by
 * all 128 bits on disk. Older ones move in small steps to one table per day, which is emptied when its day has left
 * the window. Nothing is looked up on disk as long as no day table exists.
 */
export type Seen = {
  /** The seq under which this messageId was kept, or undefined. */
  find(installation: string, messageId: string): number | undefined;
  /** Remembers an id, within the transaction that keeps its event. */
  add(installation: string, messageId: string, seq: number, nowMs: number): void;
  commit(): void;
  /** Forgets what was added since the last commit. */
  rollback(): void;
  /** One bounded step of moving and forgetting; true when more is to be done. */
  tidy(nowMs: number): boolean;
};

const windowDays = 7;
const dayMs = 86_400_000;
const stepRows = 500;

export function openSeen(db: Database, hotLimit = 1_000_000): Seen {
  const insert = db.prepare('INSERT INTO seen_recent (seq, at, print) VALUES (?, ?, ?)');
  const printOf = db.prepare('SELECT print FROM seen_recent WHERE seq = ?');
  const oldest = db.prepare('SELECT seq, at, print FROM seen_recent ORDER BY seq LIMIT ?');
  const forget = db.prepare('DELETE FROM seen_recent WHERE seq <= ?');
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'seen_day_*'");
  let days = openDays();
  const hot = createHotTable();
  let added: Row[] = [];
  let leaving: Row[] = [];
  let last: { installation: string; messageId: string; print: Uint8Array } | undefined;

  // A row for a thousand ids: most of the time of a start is the crossing from SQLite to here.
  const chunk = db.prepare(
    `SELECT json_group_array(seq) AS seqs, group_concat(substr(hex(print), 1, 16), '') AS prints
     FROM (SELECT seq, print FROM seen_recent WHERE seq > ? ORDER BY seq LIMIT 1000)`,
  );
  for (let after = 0; ;) {
    const row = chunk.get(after);
    const seqs: number[] = JSON.parse(String(row?.seqs));
    if (seqs.length === 0) break;
    const prints = Buffer.from(String(row?.prints), 'hex');
    seqs.forEach((seq, index) => hot.add(prints.subarray(index * 8, index * 8 + 8), seq));
    after = seqs.at(-1)!;
  }

  function openDays(): Map<number, DayTable> {
    const numbers = tables.all().map((row) => Number(String(row.name).slice('seen_day_'.length)));
    return new Map(numbers.map((number) => [number, openDay(db, number)]));
  }

  /** The same id is looked up and then added: its fingerprint is taken once. */
  function print(installation: string, messageId: string): Uint8Array {
    if (last?.messageId === messageId && last.installation === installation) return last.print;
    const digest = fingerprint(installation, messageId);
    last = { installation, messageId, print: digest };
    return digest;
  }

  function find(installation: string, messageId: string): number | undefined {
    const wanted = print(installation, messageId);
    for (const seq of hot.candidates(wanted)) {
      const stored = printOf.get(seq)?.print;
      if (stored instanceof Uint8Array && Buffer.compare(wanted, stored) === 0) return seq;
    }
    for (const day of days.values()) {
      const seq = day.find(wanted);
      if (seq !== undefined) return seq;
    }
    return undefined;
  }

  function add(installation: string, messageId: string, seq: number, nowMs: number): void {
    const digest = print(installation, messageId);
    insert.run(seq, nowMs, digest);
    hot.add(digest, seq);
    added.push({ print: digest, seq, at: nowMs });
  }

  function commit(): void {
    for (const row of leaving) hot.remove(row.print, row.seq);
    added = [];
    leaving = [];
  }

  function rollback(): void {
    for (const row of added) hot.remove(row.print, row.seq);
    added = [];
    leaving = [];
    days = openDays();
  }

  function tidy(nowMs: number): boolean {
    const oldestDay = Math.floor(nowMs / dayMs) - windowDays;
    for (const [number, day] of days) {
      if (number >= oldestDay) continue;
      if (day.forgetSome()) return true;
      day.drop();
      days.delete(number);
      return true;
    }
    const surplus = hot.size() - hotLimit;
    const rows = oldest.all(stepRows).map(readRow);
    // From the oldest on, without a gap: they are deleted by a range.
    const stays = rows.findIndex((row, index) => index >= surplus && Math.floor(row.at / dayMs) >= oldestDay);
    leaving = stays < 0 ? rows : rows.slice(0, stays);
    for (const row of leaving) {
      const number = Math.floor(row.at / dayMs);
      if (number >= oldestDay) dayTable(number).add(row.print, row.seq);
    }
    const lastRow = leaving.at(-1);
    if (lastRow) forget.run(lastRow.seq);
    return leaving.length === stepRows;
  }

  function dayTable(number: number): DayTable {
    const known = days.get(number);
    if (known) return known;
    const made = openDay(db, number);
    days.set(number, made);
    return made;
  }

  return {
    find,
    add,
    commit,
    rollback,
    tidy,
  };
}

type Row = { seq: number; at: number; print: Uint8Array };
type DayTable = ReturnType<typeof openDay>;

function readRow(row: Record<string, unknown>): Row {
  if (!(row.print instanceof Uint8Array)) throw new Error('seen_recent holds a row without a fingerprint');
  return { seq: Number(row.seq), at: Number(row.at), print: row.print };
}

function openDay(db: Database, day: number) {
  const name = `seen_day_${day}`;
  db.exec(`CREATE TABLE IF NOT EXISTS ${name} (print BLOB PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID`);
  const select = db.prepare(`SELECT seq FROM ${name} WHERE print = ?`);
  const insert = db.prepare(`INSERT OR IGNORE INTO ${name} VALUES (?, ?)`);
  const some = db.prepare(`DELETE FROM ${name} WHERE print IN (SELECT print FROM ${name} LIMIT ?)`);
  return {
    find(print: Uint8Array): number | undefined {
      const seq = select.get(print)?.seq;
      return seq === undefined ? undefined : Number(seq);
    },
    add(print: Uint8Array, seq: number): void {
      insert.run(print, seq);
    },
    /** Emptied in steps first: dropping a full table visits all its pages and would stall the writer. */
    forgetSome: (): boolean => Number(some.run(stepRows).changes) > 0,
    drop: (): void => db.exec(`DROP TABLE ${name}`),
  };
}

/** Open addressing over typed arrays; a slot holds the first 64 bits of a fingerprint and the offset of its seq. */
function createHotTable() {
  let capacity = 4096;
  let low = new Uint32Array(capacity);
  let high = new Uint32Array(capacity);
  let offset = new Uint32Array(capacity); // seq + 1 - base; 0 is an empty slot
  let base = -1;
  let size = 0;

  function add(print: Uint8Array, seq: number): void {
    if (base < 0) base = seq;
    if ((size + 1) * 4 > capacity * 3) grow();
    place(word(print, 0), word(print, 4), seq + 1 - base);
    size += 1;
  }

  function place(lowBits: number, highBits: number, value: number): void {
    let slot = lowBits & (capacity - 1);
    while (offset[slot] !== 0) slot = (slot + 1) & (capacity - 1);
    low[slot] = lowBits;
    high[slot] = highBits;
    offset[slot] = value;
  }

  function candidates(print: Uint8Array): number[] {
    const lowBits = word(print, 0);
    const highBits = word(print, 4);
    const seqs: number[] = [];
    for (let slot = lowBits & (capacity - 1); offset[slot] !== 0; slot = (slot + 1) & (capacity - 1)) {
      if (low[slot] === lowBits && high[slot] === highBits) seqs.push(offset[slot]! - 1 + base);
    }
    return seqs;
  }

  function remove(print: Uint8Array, seq: number): void {
    const mask = capacity - 1;
    const value = seq + 1 - base;
    let gap = word(print, 0) & mask;
    for (; offset[gap] !== value; gap = (gap + 1) & mask) if (offset[gap] === 0) return;
    for (let probe = (gap + 1) & mask; offset[probe] !== 0; probe = (probe + 1) & mask) {
      const home = low[probe]! & mask;
      const reachable = gap <= probe ? home <= gap || home > probe : home <= gap && home > probe;
      if (!reachable) continue;
      low[gap] = low[probe]!;
      high[gap] = high[probe]!;
      offset[gap] = offset[probe]!;
      gap = probe;
    }
    offset[gap] = 0;
    size -= 1;
  }

  function grow(): void {
    const before = { capacity, low, high, offset };
    capacity *= 2;
    low = new Uint32Array(capacity);
    high = new Uint32Array(capacity);
    offset = new Uint32Array(capacity);
    for (let slot = 0; slot < before.capacity; slot += 1) {
      if (before.offset[slot] !== 0) place(before.low[slot]!, before.high[slot]!, before.offset[slot]!);
    }
  }

  return { add, candidates, remove, size: () => size };
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
