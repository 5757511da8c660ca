import { seqOf } from '../event-id.ts';
import type { Attempt, Progress, Retry } from '../queue.ts';
import { Again, type Transaction } from './database.ts';
import { settledErasures } from './erasures.ts';
import { moveLine } from './joins.ts';
import { firstDue, type Lane, laneState, lockLanes, nowMs, refreshDue } from './lanes.ts';
import { storable } from './storable.ts';
import { installationOf, queuedIn } from './totals.ts';

/** What the holder of a lease has done so far. */
export type Settlement = { token: string; person: string; sources: string[]; progress: Progress };
/** A lease that ends; `left` are the jobs of it that are not settled. */
export type Ending = { token: string; left: Map<number, number>; retry?: Retry | undefined };

const triedCalls = `coalesce((SELECT sum(calls) FROM attempt WHERE attempt.seq = gone.seq
  AND n > (SELECT max(n) FROM attempt AS last WHERE last.seq = gone.seq) - gone.attempts), 0)`;

/**
 * Writes down what became of jobs, and ends leases. What comes for a lease that is not held any more changes nothing,
 * and neither does the same again: a job is settled by taking it out of the queue. Returns whose leases have ended.
 */
export async function writeDown(
  tx: Transaction,
  { settlements, endings }: { settlements: Settlement[]; endings: Ending[] },
  slot: number,
): Promise<string[]> {
  const lanes = await lockLeases(tx, [...settlements, ...endings]);
  const standing = settlements.flatMap((one) => {
    const lane = lanes.get(one.token);
    return lane ? [{ ...one, lane }] : [];
  });
  const leased = standing.filter(({ lane }) => lane.state === laneState.leased);
  const settled = [choose(tx, standing), keepRecords(tx, standing), finish(tx, leased, slot)];
  const isSimple = [...lanes.values()].every(
    ({ state, into, person }) => state === laneState.leased && into === null && !isErasure(person),
  );
  if (!isSimple) {
    await Promise.all(settled);
    return endings.length > 0 ? endLeases(tx, endings) : [];
  }
  // Nobody's line becomes part of another's: all that is left to be done goes out in one message.
  const ended = endings.flatMap((one) => {
    const lane = lanes.get(one.token);
    return lane ? [{ ...one, lane }] : [];
  });
  const done = Promise.all([
    ...settled,
    postpone(tx, ended),
    setFree(
      tx,
      ended.map(({ lane }) => lane),
    ),
  ]);
  tx.commit();
  await done;
  return ended.map(({ lane }) => lane.person);
}

type Standing = Settlement & { lane: Lane };

async function lockLeases(tx: Transaction, leases: { token: string }[]): Promise<Map<string, Lane>> {
  const rows = await tx.query<Lane & { token: string }>(
    `SELECT person, queued, state, due_at AS "dueAtMs", blockers, token, "into", record FROM lane
     WHERE token = ANY($1::uuid[]) ORDER BY person COLLATE "C" FOR UPDATE`,
    [leases.map(({ token }) => token)],
  );
  return new Map(rows.map((lane) => [lane.token, lane]));
}

async function choose(tx: Transaction, settlements: Standing[]): Promise<void> {
  const chosen = settlements.flatMap(({ progress, lane }) =>
    (progress.chosen ?? []).map(({ id, createdAtSeconds }) => ({
      seq: seqOf(id),
      person: lane.person,
      createdAtSeconds,
    })),
  );
  if (chosen.length === 0) return;
  await tx.query(
    `UPDATE job SET created_at = c.created_at FROM unnest($1::bigint[], $2::text[], $3::bigint[]) AS c (seq, person, created_at)
     WHERE job.seq = c.seq AND job.person = c.person`,
    [
      chosen.map(({ seq }) => seq),
      chosen.map(({ person }) => person),
      chosen.map(({ createdAtSeconds }) => createdAtSeconds),
    ],
  );
}

async function finish(tx: Transaction, settlements: Standing[], slot: number): Promise<void> {
  const done = settlements.flatMap(({ progress, lane }) =>
    progress.done.map((one) => ({ ...one, seq: seqOf(one.id), person: lane.person })),
  );
  if (done.length === 0) return;
  const of = <T>(value: (one: (typeof done)[number]) => T): T[] => done.map(value);
  const gone = await tx.query<{ seq: number; person: string; status: string }>(
    `WITH done AS (SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::text[])
       AS d (seq, person, status, reason, intercom_status, calls, ms, exchange)),
     gone AS (DELETE FROM job USING done WHERE job.seq = done.seq AND job.person = done.person
       RETURNING job.seq, job.attempts, job.created_at, done.person, done.status, done.reason, done.intercom_status, done.calls, done.ms, done.exchange),
     tried AS (INSERT INTO attempt (seq, n, at, outcome, reason, intercom_status, calls, ms, exchange)
       SELECT seq, 1 + coalesce((SELECT max(n) FROM attempt WHERE attempt.seq = gone.seq), 0), ${nowMs}, status, reason,
         intercom_status, calls, ms, exchange FROM gone),
     ended AS (INSERT INTO settled (seq, at, status, reason, person, attempts, intercom_status, calls, created_at)
       SELECT seq, ${nowMs}, status, reason, person, attempts + 1, intercom_status, calls + ${triedCalls}, created_at FROM gone),
     fewer AS (UPDATE lane SET queued = queued - less.n FROM (SELECT person, count(*)::int AS n FROM gone GROUP BY person) AS less
       WHERE lane.person = less.person),
     counted AS (INSERT INTO total AS t (name, slot, n)
       SELECT name, $9::int, sum(n) FROM (SELECT status AS name, 1 AS n FROM gone
         UNION ALL SELECT '${queuedIn('')}' || split_part(person, '/', 1), -1 FROM gone) AS each
       GROUP BY name ORDER BY name ON CONFLICT (name, slot) DO UPDATE SET n = t.n + excluded.n)
     SELECT seq, person, status FROM gone`,
    [
      of(({ seq }) => seq),
      of(({ person }) => person),
      of(({ status }) => status),
      of(({ reason }) => reason),
      of(({ attempt }) => attempt.intercomStatus),
      of(({ attempt }) => attempt.calls),
      of(({ attempt }) => Math.round(attempt.ms)),
      of(({ attempt }) => storable(attempt.exchange)),
      slot,
    ],
  );
  const erasures = gone.filter(({ person }) => isErasure(person));
  if (erasures.length > 0) await settledErasures(tx, erasures);
}

const isErasure = (person: string): boolean => person.includes('/erasure:');

/** Of people, and those that belong to nobody (companies). The sources are those that the lease was made with. */
async function keepRecords(tx: Transaction, settlements: Standing[]): Promise<void> {
  const records = new Map<string, string>();
  const replaced: { person: string; source: string }[] = [];
  for (const { progress, lane, sources } of settlements) {
    const installation = installationOf(lane.person);
    for (const { key, record } of progress.shared ?? []) records.set(`${installation}/${key}`, record);
    if (progress.record === undefined) continue;
    records.set(lane.record ?? lane.person, progress.record);
    if (lane.state === laneState.leased) replaced.push(...sources.map((source) => ({ person: lane.person, source })));
  }
  await Promise.all([replaceRecords(tx, records), forgetReplaced(tx, replaced)]);
}

async function replaceRecords(tx: Transaction, records: Map<string, string>): Promise<void> {
  if (records.size === 0) return;
  const sorted = [...records].sort(([a], [b]) => (a < b ? -1 : 1));
  await tx.query(
    `INSERT INTO contact (person, record) SELECT * FROM unnest($1::text[], $2::text[])
     ON CONFLICT (person) DO UPDATE SET record = excluded.record`,
    [sorted.map(([person]) => person), sorted.map(([, record]) => record)],
  );
}

async function forgetReplaced(tx: Transaction, replaced: { person: string; source: string }[]): Promise<void> {
  if (replaced.length === 0) return;
  await tx.query(
    `WITH replaced AS (SELECT * FROM unnest($1::text[], $2::text[]) AS r (person, source)),
     unlisted AS (DELETE FROM joined USING replaced WHERE joined.person = replaced.person AND joined.source = replaced.source)
     DELETE FROM contact USING replaced WHERE contact.person = replaced.source`,
    [replaced.map(({ person }) => person), replaced.map(({ source }) => source)],
  );
}

/**
 * Ends leases: their people are due again as their first jobs are, become part of whom they were joined to meanwhile,
 * or make way for their erasure. `isOver` ends only what ran out, and what a holder renewed meanwhile is left alone.
 */
export async function endLeases(tx: Transaction, endings: Ending[], isOver = false): Promise<string[]> {
  const people = await tx.query<{ person: string; into: string | null; token: string | null }>(
    `SELECT person, "into", token FROM lane WHERE token = ANY($1::uuid[]) OR "into" IN (SELECT person FROM lane WHERE token = ANY($1::uuid[]))`,
    [endings.map(({ token }) => token)],
  );
  const lanes = await lockLanes(
    tx,
    people.flatMap(({ person, into }) => (into === null ? [person] : [person, into])),
  );
  const byToken = new Map([...lanes.values()].flatMap((lane) => (lane.token === null ? [] : [[lane.token, lane]])));
  const [{ now } = { now: 0 }] = isOver ? await tx.query<{ now: number }>(`SELECT ${nowMs} AS now`) : [];
  const found = new Set(people.map(({ token }) => token));
  const targets = new Set<string>();
  const free: Lane[] = [];
  for (const ending of endings) {
    const lane = byToken.get(ending.token);
    if (!lane && found.has(ending.token)) throw new Again(); // an erasure has given it another name meanwhile
    if (!lane || (isOver && lane.dueAtMs > now)) continue;
    if (lane.into !== null && !lanes.has(lane.into)) throw new Again();
    if (ending.retry && lane.state === laneState.leased) await postpone(tx, [{ ...ending, lane }]);
    if (lane.state === laneState.void) {
      await tx.query('DELETE FROM lane WHERE person = $1', [lane.person]);
      await unblock(tx, lane.into!);
      targets.add(lane.into!);
    } else if (lane.into !== null) {
      const target = lanes.get(lane.into)!;
      await setFree(tx, [lane]);
      await moveLine(tx, lane, target);
      await unblock(tx, target.person);
      targets.add(target.person);
    } else {
      free.push(lane);
    }
  }
  await Promise.all([refreshDue(tx, targets), setFree(tx, free)]);
  return [...targets, ...free.map(({ person }) => person)];
}

async function setFree(tx: Transaction, lanes: Lane[]): Promise<void> {
  if (lanes.length === 0) return;
  await tx.query(
    `UPDATE lane SET state = ${laneState.free}, token = NULL, holder = NULL, "into" = NULL, due_at = ${firstDue}
     WHERE person = ANY($1::text[])`,
    [lanes.map(({ person }) => person)],
  );
}

async function unblock(tx: Transaction, person: string): Promise<void> {
  await tx.query('UPDATE lane SET blockers = blockers - 1 WHERE person = $1', [person]);
}

type Postponed = Ending & { lane: Lane };

/** Whoever waits, waits with the jobs before the tried one, too: what was to be sent after it stays behind it. */
async function postpone(tx: Transaction, endings: Postponed[]): Promise<void> {
  const jobs = endings.flatMap(({ lane: { person }, left, retry }) => {
    if (!retry) return [];
    const tried = seqOf(retry.id);
    const afterMs = Math.max(0, Math.ceil(retry.afterMs));
    return [...left.keys()]
      .filter((seq) => seq <= tried)
      .map((seq) => ({ person, seq, afterMs, retry, counted: retry.countAttempt && seq === tried ? 1 : 0 }));
  });
  if (jobs.length === 0) return;
  const of = <T>(value: (one: (typeof jobs)[number]) => T): T[] => jobs.map(value);
  const postponed = tx.query(
    `UPDATE job SET attempts = attempts + p.counted, due_at = CASE WHEN p.after > 0 THEN ${nowMs} + p.after ELSE 0 END
     FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::int[]) AS p (person, seq, after, counted)
     WHERE job.seq = p.seq AND job.person = p.person`,
    [of(({ person }) => person), of(({ seq }) => seq), of(({ afterMs }) => afterMs), of(({ counted }) => counted)],
  );
  const attempts = jobs.flatMap(({ seq, counted, retry: { reason, attempt } }) =>
    counted === 1 && attempt ? { seq, reason, ...attempt } : [],
  );
  await Promise.all([postponed, insertAttempts(tx, attempts)]);
}

async function insertAttempts(tx: Transaction, attempts: (Attempt & { seq: number; reason: string })[]): Promise<void> {
  if (attempts.length === 0) return;
  const of = <T>(value: (one: (typeof attempts)[number]) => T): T[] => attempts.map(value);
  await tx.query(
    `INSERT INTO attempt (seq, n, at, outcome, reason, intercom_status, calls, ms, exchange)
     SELECT seq, 1 + coalesce((SELECT max(n) FROM attempt WHERE attempt.seq = a.seq), 0), ${nowMs}, 'retry', reason,
       intercom_status, calls, ms, exchange
     FROM unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::int[], $6::text[])
       AS a (seq, reason, intercom_status, calls, ms, exchange)`,
    [
      of(({ seq }) => seq),
      of(({ reason }) => reason),
      of(({ intercomStatus }) => intercomStatus),
      of(({ calls }) => calls),
      of(({ ms }) => Math.round(ms)),
      of(({ exchange }) => storable(exchange)),
    ],
  );
}
