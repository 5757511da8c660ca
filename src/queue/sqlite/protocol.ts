import type { CountedDead, SomeCauses, WalkedDead } from './causes.ts';
import type { PackedEvents } from './event-columns.ts';
import type { Salvage } from './salvage.ts';
import type { FoundPage } from './search.ts';
import type { StoreOptions } from './store.ts';
import type {
  AuditEntry,
  AuditPage,
  ErasureState,
  EventDetail,
  EventFilter,
  EventState,
  EventSummary,
  Lease,
  LeaseLimits,
  NewEvent,
  PersonDetail,
  Preview,
  Progress,
  QueueStats,
  Receipt,
  Retry,
  Standing,
  StoredInstallation,
} from '../queue.ts';

/** What the event loop asks of the writer thread. The ops of one batch share one synced transaction. */
export type Op =
  | { kind: 'enqueue'; events: PackedEvents }
  | { kind: 'settle'; token: string; progress: Progress }
  | { kind: 'release'; token: string; retry: Retry | undefined }
  | { kind: 'redrive'; ids: string[] }
  /** In a transaction of its own: what is accepted before it must be in the lines. */
  | { kind: 'erase'; installation: string; key: string; messageId: string }
  | { kind: 'keepInstallation'; id: string; record: string; audit: AuditEntry | null }
  | { kind: 'keepAudit'; entry: AuditEntry }
  | { kind: 'discard'; installation: string }
  | { kind: 'removeInstallation'; id: string; audit: AuditEntry | null }
  /** Writes something of no meaning, to learn whether the disk takes it again. */
  | { kind: 'probe' }
  | { kind: 'erasure'; id: string }
  | { kind: 'person'; key: string }
  | { kind: 'preview'; events: NewEvent[] }
  | ({ kind: 'lease' } & LeaseLimits)
  | { kind: 'installations' }
  | { kind: 'audit'; limit: number; before: string | null }
  | { kind: 'record'; key: string }
  | { kind: 'find'; filter: EventFilter; limit: number; below: number }
  | { kind: 'countDead'; filter: EventFilter; after: number }
  | { kind: 'walkDead'; filter: EventFilter; after: number; upTo: number; limit: number }
  | { kind: 'deadCauses'; installation: string | undefined; after: number }
  | { kind: 'filteredCauses'; installation: string | undefined; below: number }
  | { kind: 'detail'; id: string }
  | { kind: 'summaries'; ids: string[]; text: string | undefined }
  | { kind: 'states'; ids: string[] }
  | { kind: 'stats'; installation: string | null };

export type Results = {
  enqueue: Receipt[];
  settle: undefined;
  release: undefined;
  redrive: number;
  erase: string;
  erasure: ErasureState | null;
  person: PersonDetail;
  keepInstallation: undefined;
  keepAudit: undefined;
  /** Whether more is to be discarded. */
  discard: boolean;
  removeInstallation: undefined;
  probe: undefined;
  preview: Preview;
  lease: Lease[];
  installations: StoredInstallation[];
  audit: AuditPage;
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
  /** `salvage`: the file was damaged, and is another one now. */
  | { kind: 'open'; salvage: Salvage | null }
  | {
      kind: 'batch';
      results: Result[];
      /** What each installation has queued, and how many of its people are due. */
      queues: { installation: string; queued: number; ready: number }[];
      /** Infinity: nobody waits for a time. */
      nextDueInMs: number;
      /** By the lease's token, where consent has changed in this batch. */
      standings: [token: string, standing: Standing | null][];
    }
  /** The thread can't go on: the disk failed under a sync, or the database could not be opened. */
  | { kind: 'broken'; message: string; isDamaged: boolean }
  | { kind: 'closed' };

export type WorkerOptions = StoreOptions & {
  path: string;
  /** The last thread met damage: the whole file is looked through, however large it is. */
  isSuspect: boolean;
};

const reads: ReadonlySet<Op['kind']> = new Set([
  'erasure',
  'person',
  'lease',
  'preview',
  'record',
  'find',
  'detail',
  'states',
  'countDead',
  'walkDead',
  'deadCauses',
  'filteredCauses',
  'summaries',
  'stats',
  'installations',
  'audit',
] satisfies Op['kind'][]);

export function isWrite({ kind }: Op): boolean {
  return !reads.has(kind);
}
