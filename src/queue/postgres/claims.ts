import { idOf } from '../event-id.ts';
import type { Erasure, Job, Lease, LeaseLimits, NewestConsent } from '../queue.ts';
import type { Database, Reader } from './database.ts';
import { erasureOf } from './erasures.ts';
import { laneState, nowMs } from './lanes.ts';

/** A lease, and what its holder has to know of it to settle and release it. */
export type Claim = { lease: Lease; person: string; sources: string[]; attempts: Map<number, number> };

type LaneRow = { person: string | null; token: string; queued: number; since: number };
type TakenLane = LaneRow & { person: string };
type JobRow = {
  seq: number;
  person: string;
  due_at: number;
  now: number;
  attempts: number;
  created_at: number | null;
  received_at: number;
  at: number;
  payload: string;
  trace: string | null;
  was_held: boolean;
};
type PersonRow = {
  person: string;
  record: string | null;
  consent_at: number | null;
  functional: boolean | null;
  marketing: boolean | null;
  joined: { source: string; record: string | null }[] | null;
};

/** Whom a claim has got, for the statements that go out with it: a setting that ends with the transaction. */
const claimedSetting = 'signal_intercom.claimed';
const claimed = `json_array_elements_text(current_setting('${claimedSetting}')::json) AS p (key)`;

/**
 * Due people, longest-waiting first, each with the head of its line. The claim is one statement: two replicas never get
 * the same person. What is read by the statements after it can't change under the lease, but for new jobs at the end.
 */
export async function claim(
  db: Database,
  { installation, people, jobsEach }: LeaseLimits,
  { holder, leaseMs }: { holder: string; leaseMs: number },
): Promise<Claim[]> {
  const [lanes, jobs, about] = await db.transaction(
    (tx) => {
      const answers = Promise.all([
        takeLanes(tx, [installation, people, holder, leaseMs]),
        readJobs(tx, jobsEach),
        readPeople(tx),
      ]);
      tx.commit();
      return answers;
    },
    { prepared: true },
  );
  const erased = [...about.keys()].filter((key) => key.includes('/erasure:'));
  const erasures = erased.length > 0 ? await erasureOf(db, erased) : new Map<string, Erasure>();
  const claims = lanes.map(({ person, token, queued, since }) => {
    const own = ready(jobs.get(person) ?? []);
    const { record, joined, consent } = about.get(person)!;
    const slash = person.indexOf('/');
    const lease: Lease = {
      installation,
      person: person.slice(slash + 1),
      record,
      joined: joined.flatMap((one) => one.record ?? []),
      erasure: erasures.get(person) ?? null,
      consent,
      jobs: own.map(toJob),
      more: queued > own.length,
      token,
    };
    const attempts = new Map(own.map(({ seq, attempts: n }) => [seq, n]));
    return {
      since,
      first: own[0]?.seq ?? 0,
      claim: { lease, person, sources: joined.map((one) => one.source), attempts },
    };
  });
  return claims.sort((a, b) => a.since - b.since || a.first - b.first).map((one) => one.claim);
}

async function takeLanes(tx: Reader, values: unknown[]): Promise<TakenLane[]> {
  const rows = await tx.query<LaneRow>(
    `WITH due AS (
       SELECT person, due_at FROM lane
       WHERE installation = $1 AND state = ${laneState.free} AND queued > 0 AND blockers = 0 AND due_at <= ${nowMs}
       ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED),
     taken AS (UPDATE lane SET state = ${laneState.leased}, token = gen_random_uuid(), holder = $3, due_at = ${nowMs} + $4
       FROM due WHERE lane.person = due.person RETURNING lane.person, token, queued, due.due_at AS since)
     SELECT person, token, queued, since FROM (
       SELECT set_config('${claimedSetting}', coalesce(json_agg(person)::text, '[]'), true) FROM taken) AS told
     LEFT JOIN taken ON true`,
    values,
  );
  return rows.flatMap(({ person, ...lane }) => (person === null ? [] : { ...lane, person }));
}

async function readJobs(tx: Reader, jobsEach: number): Promise<Map<string, JobRow[]>> {
  const rows = await tx.query<JobRow>(
    `SELECT job.seq, job.person, job.due_at, job.attempts, job.created_at, received_at, at, payload, trace, was_held,
       ${nowMs} AS now FROM ${claimed}
     CROSS JOIN LATERAL (SELECT seq, person, due_at, attempts, created_at FROM job
       WHERE person = p.key ORDER BY seq LIMIT $1) AS job
     JOIN event ON event.seq = job.seq ORDER BY job.seq`,
    [jobsEach],
  );
  return Map.groupBy(rows, ({ person }) => person);
}

/** Those that wait, and all behind them, are left out. */
function ready(jobs: JobRow[]): JobRow[] {
  const waiting = jobs.findIndex(({ due_at, now }) => due_at > now);
  return waiting < 0 ? jobs : jobs.slice(0, waiting);
}

type About = {
  record: string | null;
  consent: NewestConsent | null;
  joined: { source: string; record: string | null }[];
};

async function readPeople(tx: Reader): Promise<Map<string, About>> {
  const rows = await tx.query<PersonRow>(
    `SELECT p.key AS person, contact.record, consent.at AS consent_at, functional, marketing,
       (SELECT json_agg(json_build_object('source', source, 'record', of_source.record) ORDER BY source)
        FROM joined LEFT JOIN contact AS of_source ON of_source.person = source WHERE joined.person = p.key) AS joined
     FROM ${claimed}
     LEFT JOIN contact ON contact.person = p.key LEFT JOIN consent ON consent.person = p.key`,
    [],
  );
  return new Map(
    rows.map(({ person, record, consent_at: atMs, functional, marketing, joined }) => [
      person,
      {
        record,
        consent: atMs === null ? null : { atMs, functional: functional === true, marketing: marketing === true },
        joined: joined ?? [],
      },
    ]),
  );
}

function toJob(row: JobRow): Job {
  return {
    id: idOf(row.seq),
    attempt: row.attempts + 1,
    receivedAtMs: row.received_at,
    atMs: row.at,
    createdAtSeconds: row.created_at,
    wasHeld: row.was_held,
    payload: row.payload,
    ...(row.trace !== null && { trace: row.trace }),
  };
}
