import type { CountedDead, SomeCauses, WalkedDead } from './causes.ts';
import type { FoundPage } from './search.ts';
import type { StoreOptions } from './store.ts';
import type {
  EventDetail,
  EventFilter,
  EventState,
  EventSummary,
  Lease,
  NewEvent,
  Progress,
  QueueStats,
  Receipt,
  Retry,
  Standing,
} from '../queue.ts';

/** What the event loop asks of the writer thread. The ops of one batch share one synced transaction. */
export type Op =
  | { kind: 'enqueue'; events: NewEvent[] }
  | { kind: 'settle'; token: string; progress: Progress }
  | { kind: 'release'; token: string; retry: Retry | undefined }
  | { kind: 'redrive'; ids: string[] }
  /** Writes something of no meaning, to learn whether the disk takes it again. */
  | { kind: 'probe' }
  | { kind: 'lease'; people: number; jobsEach: number }
  | { kind: 'record'; key: string }
  | { kind: 'find'; filter: EventFilter; limit: number; below: number }
  | { kind: 'countDead'; filter: EventFilter; after: number }
  | { kind: 'walkDead'; filter: EventFilter; after: number; upTo: number; limit: number }
  | { kind: 'deadCauses'; installation: string | undefined; after: number }
  | { kind: 'filteredCauses'; installation: string | undefined; below: number }
  | { kind: 'detail'; id: string }
  | { kind: 'summaries'; ids: string[]; text: string | undefined }
  | { kind: 'states'; ids: string[] }
  | { kind: 'stats' };

export type Results = {
  enqueue: Receipt[];
  settle: undefined;
  release: undefined;
  redrive: number;
  probe: undefined;
  lease: Lease[];
  record: string | null;
  find: FoundPage;
  countDead: CountedDead;
  walkDead: WalkedDead;
  deadCauses: SomeCauses;
  filteredCauses: SomeCauses;
  detail: EventDetail | null;
  summaries: EventSummary[];
  states: [string, EventState][];
  stats: QueueStats;
};

export type Request = { kind: 'batch'; ops: Op[] } | { kind: 'close' };

export type Result = { ok: true; value: Results[Op['kind']] } | { ok: false; message: string };

export type Reply =
  | { kind: 'open' }
  | {
      kind: 'batch';
      results: Result[];
      queued: number;
      ready: number;
      nextDueAtMs: number;
      /** By the lease's token, where consent has changed in this batch. */
      standings: [token: string, standing: Standing][];
    }
  /** The thread can't go on: the disk failed under a sync, or the database could not be opened. */
  | { kind: 'broken'; message: string }
  | { kind: 'closed' };

export type WorkerOptions = StoreOptions & { path: string };

export function isWrite({ kind }: Op): boolean {
  return kind === 'enqueue' || kind === 'settle' || kind === 'release' || kind === 'redrive' || kind === 'probe';
}
