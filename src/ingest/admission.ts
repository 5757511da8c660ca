import { statfs } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { type Problem, ProblemError } from '../problem.ts';
import { decompress, isCompressed, limits } from './body.ts';
import { createRoom, type Leave } from './room.ts';

/** Whether there is room for one more request, and for the work on what it brought. */
export type Admission = {
  /** Asked before the body is read; the refusal if there is no room, or none in time. */
  admit(request: IncomingMessage, response: ServerResponse): Promise<Problem | null>;
  /**
   * The body as it is without compression, as soon as its events may be read and kept; `leave` when they are kept or
   * refused. Throws a `ProblemError`.
   */
  open(request: IncomingMessage, raw: Buffer): Promise<{ bytes: Buffer; leave: Leave }>;
  /** Why nothing more can be stored, though what is stored goes on being delivered; null while it can. */
  storeFull(): string | null;
  close(): void;
};

export type AdmissionOptions = {
  /** Null where the database is on no disk of this machine. */
  databasePath: string | null;
  /** How many events wait to be sent, of all installations. */
  queued(): number;
  mostQueued: number;
};

/**
 * A body waits unread, in the sender's own buffers, while others are read; and read, while others are worked on. So a
 * crowd of senders is slowed down to what can be kept, instead of being refused and sending all of it again at once.
 */
const readingBytes = 16 * 1024 * 1024;
/** What is read becomes objects, several times as large: enough that the writer always has its next transaction. */
const workingBytes = 2 * 1024 * 1024;
/** Where that takes longer to keep (replicas share a database), less of it is worked on: what is kept too late is given up. */
const workingPace = { ms: 700, least: 64 * 1024 };
const patienceMs = 2000;
/**
 * Longer for a body that is still to be read: to wait costs nothing, while a refusal is followed by the same body again.
 * Signal waits for 30 seconds.
 */
const unreadPatienceMs = 5000;
/** Bounded by the number of connections. */
const smallBodyBytes = 16 * 1024;
const nothingToLeave: Leave = () => {};
const inflatingAtATime = 4;
/** The disk is not filled to its end: what was accepted needs room to be marked as delivered. */
const mostReserveBytes = 100 * 1024 * 1024;
const reserveShare = 0.05;
const lookAtDiskEveryMs = 1000;

const crowded: Problem = {
  status: 429,
  code: 'overloaded',
  detail: 'too many large requests are under way; nothing was kept, send again later',
  retryAfterSeconds: 1,
};

export function createAdmission(options: AdmissionOptions): Admission {
  const reading = createRoom({ amount: readingBytes, waitMs: unreadPatienceMs });
  const inflating = createRoom({ amount: inflatingAtATime, waitMs: patienceMs });
  const working = createRoom({ amount: workingBytes, waitMs: patienceMs, pace: workingPace });
  const readers = new WeakMap<IncomingMessage, Leave>();
  let diskFull: string | null = null;
  const folder = options.databasePath === null ? null : dirname(options.databasePath);
  const timer = folder === null ? undefined : setInterval(() => void look(folder), lookAtDiskEveryMs);
  if (folder !== null) void look(folder);

  async function look(path: string): Promise<void> {
    try {
      const { bavail, bsize, blocks } = await statfs(path);
      const reserve = Math.min(mostReserveBytes, blocks * bsize * reserveShare);
      diskFull = bavail * bsize < reserve ? `the disk has less than ${Math.round(reserve / 1e6)} MB left` : null;
    } catch {
      diskFull = null; // the folder is made with the database; what is wrong with it shows at the next write
    }
  }

  function storeFull(): string | null {
    if (diskFull !== null) return diskFull;
    if (options.queued() < options.mostQueued) return null;
    return `${options.mostQueued} events wait to be sent, as many as QUEUE_MAX_EVENTS allows`;
  }

  async function open(request: IncomingMessage, raw: Buffer): Promise<{ bytes: Buffer; leave: Leave }> {
    const encoding = request.headers['content-encoding'];
    const isPlain = !isCompressed(encoding);
    if (isPlain && raw.length <= smallBodyBytes) return { bytes: raw, leave: nothingToLeave };
    const inflated = isPlain ? undefined : await inflating.enter(1);
    if (inflated === null) throw new ProblemError(crowded);
    try {
      const bytes = await decompress(raw, encoding);
      const leave = await working.enter(bytes.length);
      if (leave === null) throw new ProblemError(crowded);
      return { bytes, leave };
    } finally {
      inflated?.();
      readers.get(request)?.();
    }
  }

  return {
    async admit(request, response) {
      const full = storeFull();
      if (full !== null)
        return {
          status: 503,
          code: 'cannot_store',
          detail: `the event can't be stored now (${full}); nothing was kept, send again later`,
          retryAfterSeconds: 5,
        };
      // A body of unknown length may become as long as any.
      const declared = Number(request.headers['content-length'] ?? limits.bodyBytes);
      if (!(declared > smallBodyBytes)) return null;
      const leave = await reading.enter(Math.min(declared, limits.bodyBytes));
      if (leave === null) return crowded;
      readers.set(request, leave);
      if (response.destroyed) leave(); // its sender has gone meanwhile
      response.once('close', leave);
      return null;
    },
    open,
    storeFull,
    close: () => clearInterval(timer),
  };
}
