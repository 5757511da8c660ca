import { randomUUID } from 'node:crypto';
import { seqOf } from '../event-id.ts';
import type { Lease, LeaseLimits, NewestConsent, Progress, Retry, Standing } from '../queue.ts';
import { readAliases } from './aliases.ts';
import { claim } from './claims.ts';
import type { Database } from './database.ts';
import { type Ending, endLeases, type Settlement, writeDown } from './endings.ts';
import { createGroups } from './groups.ts';
import { laneState, nowMs } from './lanes.ts';

/** The leases of this replica, and those of replicas that are gone. */
export type Leases = {
  lease(limits: LeaseLimits): Promise<Lease[]>;
  standing(lease: Lease): Promise<Standing | null>;
  settle(lease: Lease, progress: Progress): Promise<void>;
  release(lease: Lease, retry?: Retry): Promise<void>;
  /** Ends leases whose holders did not renew them; true when there may be more. */
  takeOver(): Promise<boolean>;
  /** Gives back whatever is still held, after all that is under way is written down. */
  close(): Promise<void>;
};

/** Longer than a pause of the process, short enough that a replica's death is hardly noticed. */
export const leaseMs = 5000;
const renewMs = 1500;
/** By the clock of this process: it stops a little before others may begin. */
const safetyMs = 500;
const takeOverAtMost = 200;

type Held = {
  person: string;
  sources: string[];
  /** Of the jobs that have not ended, by seq: the attempts counted so far. */
  left: Map<number, number>;
  untilMs: number;
};

type Write = { kind: 'settle'; settlement: Settlement } | { kind: 'release'; ending: Ending };

export function createLeases(options: {
  db: Database;
  slot: number;
  limitMs: number;
  leaseMs: number;
  onReleased(people: string[]): void;
}): Leases {
  const { db, leaseMs: durationMs } = options;
  const holder = randomUUID();
  const held = new Map<string, Held>();
  let renewTimer: NodeJS.Timeout | undefined;
  let asked: { token: string; resolve(standing: Standing | null): void }[] = [];

  const writes = createGroups<Write, void>({
    weightAtMost: 256,
    limitMs: options.limitMs,
    async run(ops) {
      const settlements = ops.flatMap((op) => (op.kind === 'settle' ? op.settlement : []));
      const endings = ops.flatMap((op) => (op.kind === 'release' ? op.ending : []));
      const released = await db.transaction((tx) => writeDown(tx, { settlements, endings }, options.slot), {
        prepared: true,
      });
      if (released.length > 0) options.onReleased(released);
      return ops.map(() => undefined);
    },
  });

  async function lease(limits: LeaseLimits): Promise<Lease[]> {
    const untilMs = performance.now() + durationMs - safetyMs;
    const claims = await claim(db, limits, { holder, leaseMs: durationMs });
    for (const {
      lease: { token },
      person,
      sources,
      attempts,
    } of claims)
      held.set(token, { person, sources, left: attempts, untilMs });
    if (held.size > 0) renewTimer ??= setTimeout(() => void renew(), renewMs);
    const empty = claims.filter(({ lease: { jobs } }) => jobs.length === 0);
    await Promise.all(empty.map((one) => release(one.lease)));
    return claims.flatMap((one) => (one.lease.jobs.length > 0 ? one.lease : []));
  }

  async function renew(): Promise<void> {
    const untilMs = performance.now() + durationMs - safetyMs;
    const tokens = [...held.keys()];
    try {
      const rows = await db.query<{ token: string; state: number }>(
        `UPDATE lane SET due_at = ${nowMs} + $2 WHERE person IN (
           SELECT person FROM lane WHERE token = ANY($1::uuid[]) ORDER BY person COLLATE "C" FOR UPDATE)
           AND token = ANY($1::uuid[]) RETURNING token`,
        [tokens, durationMs],
        renewMs,
      );
      const renewed = new Set(rows.map(({ token }) => token));
      for (const token of tokens) {
        const one = held.get(token);
        if (one) one.untilMs = renewed.has(token) ? untilMs : -Infinity;
      }
    } catch {
      // The leases run out by themselves, here first.
    } finally {
      renewTimer = held.size > 0 ? setTimeout(() => void renew(), renewMs) : undefined;
    }
  }

  const isOurs = (token: string): boolean => performance.now() < (held.get(token)?.untilMs ?? -Infinity);

  /** Asked before every call: what is asked at the same time is one statement. */
  function standing({ token }: Lease): Promise<Standing | null> {
    if (!isOurs(token)) return Promise.resolve(null);
    const { promise, resolve } = Promise.withResolvers<Standing | null>();
    if (asked.length === 0) setImmediate(() => void answer());
    asked.push({ token, resolve });
    return promise;
  }

  async function answer(): Promise<void> {
    const questions = asked;
    asked = [];
    try {
      const found = await readStandings(
        db,
        questions.map(({ token }) => token),
      );
      for (const { token, resolve } of questions) resolve((isOurs(token) && found.get(token)) || null);
    } catch {
      for (const { resolve } of questions) resolve(null); // who can't ask doesn't send
    }
  }

  function release({ token }: Lease, retry?: Retry): Promise<void> {
    const one = held.get(token);
    if (!one) return Promise.resolve();
    held.delete(token); // what comes after it comes too late
    return writes.add({ kind: 'release', ending: { token, left: one.left, retry } }, 1).catch((error: unknown) => {
      held.set(token, one);
      throw error;
    });
  }

  return {
    lease,
    standing,
    async settle({ token }, progress) {
      const one = held.get(token);
      if (!one) return;
      const { person, sources, left } = one;
      await writes.add({ kind: 'settle', settlement: { token, person, sources, progress } }, 1 + progress.done.length);
      for (const { id } of progress.done) left.delete(seqOf(id));
      if (progress.record !== undefined) one.sources = [];
    },
    release,
    async takeOver() {
      const over = await db.query<{ token: string }>(
        `SELECT token FROM lane WHERE token IS NOT NULL AND due_at < ${nowMs} ORDER BY due_at LIMIT ${takeOverAtMost}`,
      );
      const others = over.filter(({ token }) => !held.has(token));
      if (others.length === 0) return false;
      const endings = others.map(({ token }) => ({ token, left: new Map<number, number>() }));
      options.onReleased(await db.transaction((tx) => endLeases(tx, endings, true)));
      return over.length === takeOverAtMost;
    },
    async close() {
      await writes.flushed();
      clearTimeout(renewTimer);
      const tokens = [...held.keys()];
      held.clear();
      if (tokens.length === 0) return;
      const endings = tokens.map((token) => ({ token, left: new Map<number, number>() }));
      await db.transaction((tx) => endLeases(tx, endings));
    },
  };
}

type StandingRow = {
  token: string;
  state: number;
  person: string;
  into: string | null;
  at: number | null;
  functional: boolean | null;
  marketing: boolean | null;
};

/** Of leases that stand, with the newest consent of whom their people belong to by now. */
async function readStandings(db: Database, tokens: string[]): Promise<Map<string, Standing>> {
  const rows = await db.prepared<StandingRow>(
    `SELECT token, state, lane.person, "into", at, functional, marketing FROM lane LEFT JOIN consent ON consent.person = lane.person
     WHERE token = ANY($1::uuid[])`,
    [tokens],
  );
  const standing = new Map<string, Standing>();
  for (const row of rows) {
    if (row.state !== laneState.leased) continue;
    const consent = row.into === null ? consentOf(row) : await consentAfterJoin(db, row.person);
    standing.set(row.token, { consent });
  }
  return standing;
}

function consentOf({ at: atMs, functional, marketing }: Omit<StandingRow, 'token' | 'state'>): NewestConsent | null {
  return atMs === null ? null : { atMs, functional: functional === true, marketing: marketing === true };
}

async function consentAfterJoin(db: Database, person: string): Promise<NewestConsent | null> {
  const links = await readAliases(db, [person]);
  let last = person;
  for (let next = links.get(last); next !== undefined && next !== last; next = links.get(last)) last = next;
  const [row] = await db.query<Omit<StandingRow, 'token' | 'state'>>(
    'SELECT at, functional, marketing FROM consent WHERE person = $1',
    [last],
  );
  return row ? consentOf(row) : null;
}
