import { QueueUnavailable } from '../queue/queue.ts';

/** Null where the database can't be reached or answers too slowly. */
export async function ifReachable<T>(work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof QueueUnavailable) return null;
    throw error;
  }
}
