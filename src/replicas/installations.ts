import { setTimeout as delay } from 'node:timers/promises';
import type { SharedInstallations } from '../installations/registry.ts';
import type { Database } from '../queue/postgres/database.ts';
import { nowMs } from '../queue/postgres/lanes.ts';
import { QueueUnavailable } from '../queue/queue.ts';
import { aliveMs, installationsText, type Pulse } from './pulse.ts';

/**
 * What is stored of the installations, taken over by each replica at its next look. A change is made by one replica at
 * a time: two must not both see a name free, or overwrite each other's revision.
 */
export function openSharedInstallations({ db, id, pulse, onError }: SharedInstallationsOptions): SharedInstallations {
  let taken = '';
  let taking = false;

  async function take(stored: string, listen: () => Promise<void>): Promise<void> {
    taking = true;
    try {
      await listen();
      taken = stored;
      pulse.tell({ installations: stored }, 'at once');
    } catch (error) {
      if (!(error instanceof QueueUnavailable)) onError(error);
    } finally {
      taking = false;
    }
  }

  return {
    exclusive: (work) =>
      db.transaction(
        async (tx) => {
          await tx.query(`SET LOCAL idle_in_transaction_session_timeout = ${exclusiveMs}`);
          await tx.query('SELECT pg_advisory_xact_lock($1, $2)', lock);
          return work();
        },
        { limitMs: exclusiveMs },
      ),
    onChange(listen) {
      pulse.onLook(({ installations }) => {
        if (!taking && installations !== taken) void take(installations, listen);
      });
    },
    async taken() {
      const deadline = performance.now() + patienceMs;
      while (pulse.seen().others > 0 && performance.now() < deadline) {
        const [row] = await db.query<{ behind: boolean }>(
          `SELECT EXISTS (SELECT 1 FROM replica WHERE id <> $1 AND seen_at > ${nowMs} - ${aliveMs}
             AND installations <> ${installationsText}) AS behind`,
          [id],
        );
        if (!row!.behind) return;
        await delay(askAgainMs);
      }
    },
  };
}

export type SharedInstallationsOptions = { db: Database; id: string; pulse: Pulse; onError(error: unknown): void };

/** Any two numbers that nothing else in the database locks. */
const lock = [20_260_225, 1];
/** Intercom is asked whether a token is good, which may take its time. */
const exclusiveMs = 60_000;
const patienceMs = 5000;
const askAgainMs = 50;
