import type { Database } from './database.ts';

/** What the newest attempts of a queued job have come to: a redrive counts anew, and keeps the earlier ones. */
export const triedStatus = `(SELECT intercom_status FROM attempt WHERE attempt.seq = job.seq AND job.attempts > 0
  ORDER BY n DESC LIMIT 1)`;
export const triedCalls = `coalesce((SELECT sum(calls) FROM attempt WHERE attempt.seq = job.seq
  AND n > (SELECT max(n) FROM attempt AS last WHERE last.seq = job.seq) - job.attempts), 0)`;

/** Every statement of the store, prepared once. */
export type Statements = ReturnType<typeof statements>;

export function statements(db: Database) {
  return {
    lastSeq: db.prepare(
      "SELECT max(seq) AS seq FROM (SELECT max(seq) AS seq FROM event UNION ALL SELECT n FROM total WHERE name = 'last_seq')",
    ),
    // A row for a thousand jobs: most of the time of a start with a long queue is the crossing from SQLite to here.
    jobsAfter: db.prepare(
      `SELECT json_group_array(seq) AS seqs, json_group_array(person) AS people, json_group_array(due_at) AS dues
       FROM (SELECT seq, person, due_at FROM job WHERE seq > ? ORDER BY seq LIMIT 1000)`,
    ),
    insertEvent: db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    insertJob: db.prepare('INSERT INTO job (seq, person) VALUES (?, ?)'),
    insertSettled: db.prepare('INSERT INTO settled VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    insertHeld: db.prepare('INSERT INTO was_held VALUES (?)'),
    deleteHeld: db.prepare('DELETE FROM was_held WHERE seq = ?'),
    insertAttempt: db.prepare('INSERT INTO attempt VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)'),
    lastAttempt: db.prepare('SELECT coalesce(max(n), 0) AS n FROM attempt WHERE seq = ?'),
    insertJoined: db.prepare('INSERT OR IGNORE INTO joined VALUES (?, ?)'),
    joined: db.prepare('SELECT source FROM joined WHERE person = ?'),
    deleteJoined: db.prepare('DELETE FROM joined WHERE person = ?'),
    deleteJoinedSource: db.prepare('DELETE FROM joined WHERE person = ? AND source = ?'),
    job: db.prepare(
      `SELECT job.seq, person, attempts, created_at, received_at, at, payload,
         (SELECT traceparent FROM trace WHERE trace.seq = job.seq) AS traceparent,
         EXISTS (SELECT 1 FROM was_held WHERE was_held.seq = job.seq) AS was_held
       FROM job JOIN event USING (seq) WHERE job.seq = ?`,
    ),
    jobCreatedAt: db.prepare('SELECT created_at FROM job WHERE seq = ?'),
    triedJob: db.prepare(`SELECT ${triedStatus} AS intercom_status, ${triedCalls} AS calls FROM job WHERE job.seq = ?`),
    deleteJob: db.prepare('DELETE FROM job WHERE seq = ?'),
    setCreatedAt: db.prepare('UPDATE job SET created_at = ? WHERE seq = ?'),
    postponeJob: db.prepare('UPDATE job SET due_at = ? WHERE seq = ?'),
    setAttempts: db.prepare('UPDATE job SET attempts = ? WHERE seq = ?'),
    settled: db.prepare('SELECT status, reason, intercom_status, calls FROM settled WHERE seq = ?'),
    event: db.prepare('SELECT 1 AS yes FROM event WHERE seq = ?'),
    contact: db.prepare('SELECT record FROM contact WHERE person = ?'),
    upsertContact: db.prepare(
      'INSERT INTO contact VALUES (?, ?) ON CONFLICT (person) DO UPDATE SET record = excluded.record',
    ),
    deleteContact: db.prepare('DELETE FROM contact WHERE person = ?'),
    consent: db.prepare('SELECT at, functional, marketing FROM consent WHERE person = ?'),
    consentRows: db.prepare('SELECT count(*) AS n FROM consent'),
    upsertConsent: db.prepare(
      `INSERT INTO consent VALUES (?, ?, ?, ?) ON CONFLICT (person) DO UPDATE
       SET at = excluded.at, functional = excluded.functional, marketing = excluded.marketing WHERE excluded.at >= consent.at`,
    ),
    moveConsent: db.prepare(
      `INSERT INTO consent SELECT ?, at, functional, marketing FROM consent WHERE person = ? ON CONFLICT (person) DO UPDATE
       SET at = excluded.at, functional = excluded.functional, marketing = excluded.marketing WHERE excluded.at > consent.at`,
    ),
    dead: db.prepare('SELECT person, created_at FROM settled WHERE seq = ?'),
    deleteSettled: db.prepare('DELETE FROM settled WHERE seq = ?'),
    deleteAttempts: db.prepare('DELETE FROM attempt WHERE seq = ?'),
    insertTrace: db.prepare('INSERT INTO trace VALUES (?, ?)'),
    deleteTrace: db.prepare('DELETE FROM trace WHERE seq = ?'),
    deleteEvent: db.prepare('DELETE FROM event WHERE seq = ?'),
    restoreJob: db.prepare('INSERT INTO job (seq, person, created_at) VALUES (?, ?, ?)'),
    settledFrom: db.prepare('SELECT seq, at, status FROM settled WHERE seq > ? ORDER BY seq LIMIT ?'),
    oldestHeld: db.prepare(
      "SELECT job.seq, person, received_at FROM job JOIN event USING (seq) WHERE instr(person, '/anon:') > 0 ORDER BY job.seq LIMIT ?",
    ),
    // Events are forgotten from the oldest on: the newest one's number must never be given again.
    keepLastSeq: db.prepare(
      "UPDATE total SET n = max(n, (SELECT coalesce(max(seq), 0) FROM event)) WHERE name = 'last_seq'",
    ),
    touch: db.prepare("UPDATE total SET n = n WHERE name = 'accepted'"),
    firstJob: db.prepare('SELECT min(seq) AS seq FROM job'),
    receivedAt: db.prepare('SELECT received_at FROM event WHERE seq = ?'),
  };
}
