import { statfs } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import type { Problem } from '../problem.ts';
import { limits } from './body.ts';

/** Whether there is room for one more request, asked before its body is read; the refusal if there is none. */
export type Admission = {
  admit(request: IncomingMessage, response: ServerResponse): Problem | null;
  /** Why nothing more can be stored, though what is stored goes on being delivered; null while it can. */
  storeFull(): string | null;
  close(): void;
};

/** Bodies that are being read or worked on at a time; smaller ones are bounded by the number of connections. */
const mostBodyBytes = 64 * 1024 * 1024;
const smallBodyBytes = 16 * 1024;
/** The disk is not filled to its end: what was accepted needs room to be marked as delivered. */
const mostReserveBytes = 100 * 1024 * 1024;
const reserveShare = 0.05;
const lookAtDiskEveryMs = 1000;

/** `databasePath` is null where the database is on no disk of this machine. */
export function createAdmission(databasePath: string | null): Admission {
  let bodyBytes = 0;
  let full: string | null = null;
  const folder = databasePath === null ? null : dirname(databasePath);
  const timer = folder === null ? undefined : setInterval(() => void look(folder), lookAtDiskEveryMs);
  if (folder !== null) void look(folder);

  async function look(path: string): Promise<void> {
    try {
      const { bavail, bsize, blocks } = await statfs(path);
      const reserve = Math.min(mostReserveBytes, blocks * bsize * reserveShare);
      full = bavail * bsize < reserve ? `the disk has less than ${Math.round(reserve / 1e6)} MB left` : null;
    } catch {
      full = null; // the folder is made with the database; what is wrong with it shows at the next write
    }
  }

  return {
    admit(request, response) {
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
      const bytes = Math.min(declared, limits.bodyBytes);
      if (bodyBytes + bytes > mostBodyBytes)
        return {
          status: 429,
          code: 'overloaded',
          detail: 'too many large requests are under way; nothing was kept, send again later',
          retryAfterSeconds: 1,
        };
      bodyBytes += bytes;
      response.once('close', () => {
        bodyBytes -= bytes;
      });
      return null;
    },
    storeFull: () => full,
    close: () => clearInterval(timer),
  };
}
