import type { Done, ErasureState } from '../queue.ts';
import type { Arrivals } from './arrivals.ts';
import type { Database } from './database.ts';
import { type Erasing, erasurePerson, readKeys } from './erasing.ts';
import { idOf, seqOf } from '../event-id.ts';
import type { LaneSets } from './lane-sets.ts';
import type { Leases } from './leases.ts';
import type { People } from './people.ts';
import { ofPeople } from './search.ts';
import type { Statements } from './statements.ts';
import type { Transaction } from './transaction.ts';

/** Everything of a person out of the file, and a job that does the same in Intercom. */
export type Erasures = {
  /** Within the running transaction; the id of the erasure. */
  erase(request: { installation: string; key: string; messageId: string; nowMs: number }): string;
  /** What the settlement of these jobs means for erasures. */
  settled(done: Done[]): void;
  /** Dead erasures that were brought back. */
  redriven(): void;
  state(id: string): ErasureState | null;
  /** One bounded step through the events of the past; true when more is to be done. */
  tidy(): boolean;
};

/** A step reads at most so many rows, since the writer waits meanwhile. */
const rowsAStep = 20_000;
const deletionsAStep = 500;

export function createErasures(
  db: Database,
  parts: {
    sql: Statements;
    transaction: Transaction;
    lanes: LaneSets;
    people: People;
    arrivals: Arrivals;
    leases: Leases;
    erasing: Erasing;
  },
): Erasures {
  const { sql, transaction, lanes, people, arrivals, leases, erasing } = parts;
  const insert = db.prepare('INSERT INTO erasure (seq, keys, devices) VALUES (?, ?, ?)');
  const devicesOf = db.prepare(
    `SELECT json_group_array(DISTINCT installation || '/anon:' || anonymous_id) AS devices FROM event
     WHERE seq IN (SELECT value FROM json_each(?)) AND anonymous_id IS NOT NULL`,
  );
  const remove = db.prepare('DELETE FROM erasure WHERE seq = ?');
  const row = db.prepare('SELECT keys FROM erasure WHERE seq = ?');
  const moveContact = db.prepare('UPDATE contact SET person = ? WHERE person = ?');
  const deleteConsent = db.prepare('DELETE FROM consent WHERE person = ?');
  const dead = db.prepare(
    `SELECT settled.seq FROM settled INDEXED BY settled_dead JOIN event ON event.seq = settled.seq
     LEFT JOIN job ON job.seq = event.seq WHERE settled.status = 'dead' AND ${ofPeople}`,
  );
  const oldest = db.prepare(
    `SELECT seq, keys, walked, devices FROM erasure WHERE walked < seq - 1 ORDER BY seq LIMIT 1`,
  );
  const found = db.prepare(
    `SELECT event.seq, anonymous_id FROM event LEFT JOIN settled ON settled.seq = event.seq LEFT JOIN job ON job.seq = event.seq
     WHERE event.seq > ? AND event.seq <= ? AND job.seq IS NULL AND ${ofPeople} ORDER BY event.seq LIMIT ${deletionsAStep}`,
  );
  const walk = db.prepare('UPDATE erasure SET walked = ?, keys = ?, devices = ? WHERE seq = ?');
  /** Walked to their end, and settled, or forgotten since. */
  const over = db.prepare(
    `SELECT erasure.seq, keys FROM erasure LEFT JOIN settled ON settled.seq = erasure.seq LEFT JOIN event ON event.seq = erasure.seq
     WHERE walked >= erasure.seq - 1 AND (settled.status IN ('delivered', 'filtered') OR event.seq IS NULL)`,
  );
  // Warnings are no personal data; requests and answers are.
  const forgetExchanges = db.prepare(
    `UPDATE attempt SET exchange = json_object('calls', json('[]'), 'warnings', json_extract(exchange, '$.warnings')) WHERE seq = ?`,
  );
  const ending = db.prepare(
    `SELECT event.received_at, settled.at, settled.status, settled.reason, settled.intercom_status, settled.calls,
       erasure.seq IS NOT NULL AS is_open
     FROM event LEFT JOIN settled ON settled.seq = event.seq LEFT JOIN erasure ON erasure.seq = event.seq
     WHERE event.seq = ? AND event.type = 'erasure'`,
  );

  function erase({ installation, key, messageId, nowMs }: Parameters<Erasures['erase']>[0]): string {
    const person = people.current(`${installation}/${key}`);
    const keys = [person, ...people.aliasesOf(person)];
    const json = JSON.stringify(keys);
    const seqs = [...dropJobs(person, keys), ...dead.all(json, json).map((one) => Number(one.seq))];
    const seq = arrivals.append(erasureEvent(installation, messageId, nowMs), (one) =>
      erasurePerson(installation, one),
    );
    insert.run(seq, json, String(devicesOf.get(JSON.stringify(seqs))?.devices));
    moveRecords(person, keys, erasurePerson(installation, seq));
    forget(seqs);
    for (const one of keys) {
      deleteConsent.run(one);
      sql.deleteJoined.run(one);
    }
    people.forget(keys);
    transaction.afterCommit(() => erasing.reload());
    tidy(); // where little is kept, nothing is left to be waited for
    return idOf(seq);
  }

  /** What is queued is never sent: not from the lines, and not from the leases under way. */
  function dropJobs(person: string, keys: string[]): number[] {
    const dropped: number[] = [];
    for (const key of keys) {
      const seqs = lanes
        .of(key)
        .seqsOf(key)
        .filter((seq) => {
          const owner = sql.job.get(seq)?.person; // another person may share the lane, by their hashes
          return owner !== undefined && people.current(String(owner)) === person;
        });
      for (const seq of seqs) {
        sql.deleteJob.run(seq);
        transaction.count('filtered', 1);
        transaction.afterCommit(() => lanes.of(key).remove(key, seq));
      }
      dropped.push(...seqs);
    }
    return dropped;
  }

  /** The record, and those of people who were joined and not yet made one with it, under the name of the erasure. */
  function moveRecords(person: string, keys: string[], into: string): void {
    const names = new Map([[person, into]]);
    for (const key of keys.filter((one) => one !== person)) {
      const name = `${into}.${names.size}`;
      names.set(key, name);
      sql.insertJoined.run(into, name);
    }
    for (const [from, to] of names) moveContact.run(to, from);
    leases.rename(names);
  }

  function forget(seqs: number[]): void {
    for (const seq of seqs) {
      sql.deleteSettled.run(seq);
      sql.deleteAttempts.run(seq);
      sql.deleteHeld.run(seq);
      sql.deleteEvent.run(seq);
    }
  }

  function settled(done: Done[]): void {
    for (const { id, status } of done) {
      const seq = seqOf(id);
      if (row.get(seq) === undefined) continue;
      transaction.afterCommit(() => erasing.reload());
      if (status !== 'delivered') continue; // a dead one keeps what it needs to be redriven
      forgetRecords(String(sql.dead.get(seq)?.person));
      forgetExchanges.run(seq);
      end();
    }
  }

  function forgetRecords(person: string): void {
    for (const { source } of sql.joined.all(person)) sql.deleteContact.run(String(source));
    sql.deleteContact.run(person);
    sql.deleteJoined.run(person);
  }

  /**
   * A device that was seen with the person has been nobody's before: what it left then goes as well, in a second walk.
   * Another user of the same device keeps what carries that user's own id.
   */
  function tidy(): boolean {
    const next = oldest.get();
    if (next === undefined) return end();
    const seq = Number(next.seq);
    const from = Number(next.walked);
    const keys = readKeys(next.keys);
    const devices = new Set(readKeys(next.devices));
    const json = JSON.stringify(keys);
    const farthest = Math.min(from + rowsAStep, seq - 1);
    const rows = found.all(from, farthest, json, json);
    const to = rows.length < deletionsAStep ? farthest : Number(rows.at(-1)!.seq);
    forget(rows.map((one) => Number(one.seq)));
    const installation = installationOf(keys);
    for (const { anonymous_id: id } of rows) if (typeof id === 'string') devices.add(`${installation}/anon:${id}`);
    const unknown = [...devices].filter((device) => !keys.includes(device));
    if (to < seq - 1 || unknown.length === 0) walk.run(to, json, JSON.stringify([...devices]), seq);
    else walk.run(0, JSON.stringify([...keys, ...unknown]), JSON.stringify([...devices]), seq);
    end();
    return true;
  }

  function end(): boolean {
    for (const { seq, keys } of over.all()) {
      const installation = installationOf(readKeys(keys));
      forgetRecords(erasurePerson(installation, Number(seq)));
      remove.run(Number(seq));
    }
    return false;
  }

  function state(id: string): ErasureState | null {
    const seq = seqOf(id);
    const event = Number.isNaN(seq) ? undefined : ending.get(seq);
    if (event === undefined) return null;
    const isDead = event.status === 'dead' || event.status === 'filtered'; // its installation was removed
    const isDone = event.status === 'delivered' && event.is_open === 0;
    return {
      id,
      status: isDead ? 'dead' : isDone ? 'done' : 'running',
      reason: typeof event.reason === 'string' ? event.reason : null,
      intercomStatus: event.intercom_status == null ? null : Number(event.intercom_status),
      calls: Number(event.calls ?? 0),
      requestedAtMs: Number(event.received_at),
      endedAtMs: isDead || isDone ? Number(event.at) : null,
    };
  }

  return { erase, settled, redriven: () => transaction.afterCommit(() => erasing.reload()), state, tidy };
}

const installationOf = ([key]: string[]): string => key!.slice(0, key!.indexOf('/'));

function erasureEvent(installation: string, messageId: string, nowMs: number) {
  return {
    installation,
    messageId,
    type: 'erasure',
    name: null,
    userId: null,
    email: null,
    anonymousId: null,
    receivedAtMs: nowMs,
    atMs: nowMs,
    payload: '{"type":"erasure"}',
    decision: 'null',
    consent: null,
    filtered: null,
  };
}
