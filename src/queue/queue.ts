/**
 * The durable queue: what stands between the 2xx of /ingest and Intercom.
 *
 * What the types cannot say:
 * - Durability: a promise of `enqueue`, `settle` or `release` resolves only after the data is synced to disk.
 *   It rejects with `QueueUnavailable` when nothing of the call was kept.
 * - Order: one person's jobs are leased in the order of acceptance, and by one holder at a time. A job that waits
 *   for its retry holds back the later jobs of that person and nobody else's.
 * - Once: a messageId is remembered for at least 7 days, in the transaction that keeps its event.
 * - Fencing: a lease ends with `release`, or with the process. What comes for an ended lease changes nothing.
 */
export type Queue = {
  /** Keeps events, in this order, in one transaction together with everything else that arrives meanwhile. */
  enqueue(events: NewEvent[]): Promise<Receipt[]>;
  /**
   * What `enqueue` would make of these events, and of whom they are: keeps nothing, joins nobody. Ids of new events are
   * only examples.
   */
  preview(events: NewEvent[]): Promise<Preview>;
  /** Due people that nobody holds, longest-waiting first; each with the head of its line. */
  lease(limits: LeaseLimits): Promise<Lease[]>;
  /**
   * What holds for a lease now, to be asked right before each call: everything that was acknowledged until now is in
   * it. Null once the lease is void; nothing may be sent for it any more.
   */
  standing(lease: Lease): Promise<Standing | null>;
  /** Records what became of the first jobs of a lease, and the contact record as it is now. */
  settle(lease: Lease, progress: Progress): Promise<void>;
  /** Gives the person back; a `retry` makes it wait and remembers the attempt of the job that was tried. */
  release(lease: Lease, retry?: Retry): Promise<void>;
  /**
   * Forgets a person, with all that is known of it and its events; what is queued is never sent, and a lease under way
   * is void. What is needed to find the person in Intercom is kept until the job of this id, the only one of a lease
   * with `erasure`, is delivered. Who comes with the same keys from now on is somebody new, and is leased after that.
   */
  erase(installation: string, key: string): Promise<string>;
  /** Null where the id is none of an erasure, or its time is over. */
  erasure(id: string): Promise<ErasureState | null>;
  /** Whom a key (`user:…`, `email:…`, `anon:…`) belongs to by now; what is known may be nothing. */
  person(installation: string, key: string): Promise<PersonDetail>;
  /** Dead letters back to their place in their person's line, with their identity; how many of these were dead. */
  redrive(ids: string[]): Promise<number>;
  /**
   * Calls `wake` when a person of the installation may have become due: new events, a release; null when it may be of
   * any: a retry whose time has come.
   */
  onDue(wake: (installation: string | null) => void): void;
  /** A record that belongs to no person (a company), as last settled by anybody. */
  record(installation: string, key: string): Promise<string | null>;
  /**
   * Resolves when nobody else, of any replica, works at what this key names, with what ends the turn. For what belongs to
   * no person, whom a lease would protect.
   */
  turn(installation: string, key: string): Promise<() => Promise<void>>;
  /** Newest first. `next` goes on from there; null when there is nothing older. */
  find(
    filter: EventFilter,
    page: { limit: number; before: string | null },
  ): Promise<{ events: EventSummary[]; next: string | null }>;
  /** How many dead letters match. */
  countDead(filter: EventFilter): Promise<number>;
  /** Dead letters that match, oldest first: ids after `after`, up to `upTo`. `next` goes on from there; null at the end. */
  walkDead(
    filter: EventFilter,
    page: { limit: number; after: string | null; upTo: string },
  ): Promise<{ ids: string[]; next: string | null }>;
  /** Why events are dead, or were filtered; see `Causes`. */
  causes(status: 'dead' | 'filtered', installation?: string): Promise<Causes>;
  /** An event with all its attempts; null when it is not known (any more). */
  detail(id: string): Promise<EventDetail | null>;
  /** Events by id; an unknown id is left out, and with `text` an event whose raw text does not contain it. */
  summaries(ids: string[], text?: string): Promise<EventSummary[]>;
  /** The states of events by id; an unknown id is left out. */
  states(ids: string[]): Promise<Map<string, EventState>>;
  /** Of an installation alone, but for the totals since the database was made, which are of all. */
  stats(installation?: string): Promise<QueueStats>;
  /** Events queued as of the last write, of one installation or of all; costs nothing. */
  depth(installation?: string): number;
  /** What is stored of each installation; opaque to the queue. */
  installations(): Promise<StoredInstallation[]>;
  /** Keeps an installation, and in the same transaction who changed what of it. */
  keepInstallation(id: string, record: string, audit: AuditEntry | null): Promise<void>;
  /** Forgets an installation and what is known of its people; what waits for it is filtered as `installation_removed`. */
  removeInstallation(id: string, audit: AuditEntry | null): Promise<void>;
  keepAudit(entry: AuditEntry): Promise<void>;
  /** Newest first. */
  audit(page: { limit: number; before: string | null }): Promise<AuditPage>;
  /** Whether events can be kept now, and if not, why. */
  health(): { ok: true } | { ok: false; reason: string };
  /** Ends after all that was handed over is durable. May be called twice. */
  close(): Promise<void>;
};

export type NewEvent = {
  installation: string;
  messageId: string;
  type: string;
  /** As Signal sent it. */
  name: string | null;
  userId: string | null;
  email: string | null;
  anonymousId: string | null;
  receivedAtMs: number;
  /** The event's own time, or that of its receipt. */
  atMs: number;
  /** The raw event as JSON text. */
  payload: string;
  /** The consent decision as JSON text, for whoever asks why. */
  decision: string;
  /** What the event says of the person's consent; compared at the time of sending. */
  consent: Consent | null;
  /** The W3C traceparent of the request that brought it, where somebody collects traces. */
  trace?: string;
  /** Set: the event is kept and explained, but never sent. */
  filtered: string | null;
};

export type Consent = { functional: boolean; marketing: boolean };

export type Receipt =
  | {
      duplicate: false;
      id: string;
      status: 'queued' | 'filtered';
      reason: string | null;
      /** As it came, nobody's: it waits for its visitor's login, which may be in a day. */
      isHeld?: boolean;
    }
  | { duplicate: true; id: string; original: EventState };

/** Of one installation. `receipts` and `people` are one per event, `views` one per person. */
export type Preview = { receipts: Receipt[]; people: string[]; views: PersonView[] };

export type PersonView = {
  /** `user:…`, `email:…` or `anon:…`. */
  person: string;
  /** As a lease would have them. */
  record: string | null;
  joined: string[];
  consent: NewestConsent | null;
  /** Events of this person that are queued already. */
  queued: number;
};

export type PersonDetail = PersonView & {
  /** The other keys that belong to this person. */
  aliases: string[];
};

/** Under what a person is to be found in Intercom, beside the record of the lease. */
export type Erasure = { id: string; userId: string | null; emails: string[] };

export type ErasureState = {
  id: string;
  /** `done`: nothing is left here, and in Intercom neither. `dead`: Intercom refused it; it can be redriven. */
  status: 'running' | 'done' | 'dead';
  reason: string | null;
  intercomStatus: number | null;
  calls: number;
  requestedAtMs: number;
  endedAtMs: number | null;
};

export type EventStatus = 'queued' | 'delivered' | 'filtered' | 'dead';

export type EventState = {
  id: string;
  status: EventStatus;
  reason: string | null;
  /** Intercom's last answer and the calls spent; null while nothing was sent. */
  intercomStatus: number | null;
  calls: number;
};

/** What is given must all fit; texts are compared as they are, but for `text`, which is looked for in the raw event. */
export type EventFilter = {
  installation?: string | undefined;
  status?: EventStatus | undefined;
  type?: string | undefined;
  name?: string | undefined;
  userId?: string | undefined;
  email?: string | undefined;
  messageId?: string | undefined;
  reason?: string | undefined;
  receivedFromMs?: number | undefined;
  receivedToMs?: number | undefined;
  text?: string | undefined;
  /** Keys of people of the filter's installation: events that carry one, or went to one. */
  people?: string[] | undefined;
};

export type EventSummary = EventState & {
  installation: string;
  messageId: string;
  type: string;
  name: string | null;
  userId: string | null;
  email: string | null;
  anonymousId: string | null;
  receivedAtMs: number;
  atMs: number;
  settledAtMs: number | null;
  attempts: number;
  /** When a queued event is tried again; null when it waits for nothing but its turn. */
  dueAtMs: number | null;
};

/** Dead letters are all counted; filtered events, which may be any number, among the newest events alone. */
export type Causes = {
  causes: Cause[];
  /** The oldest event that was looked at, where older ones were not; else null. */
  since: string | null;
};

/** Events that ended for the same reason; `oldest` and `newest` are ids. */
export type Cause = { reason: string; count: number; oldest: string; newest: string };

export type EventDetail = EventSummary & {
  payload: string;
  decision: string;
  createdAtSeconds: number | null;
  history: (Attempt & { n: number; atMs: number; outcome: string; reason: string | null })[];
};

/** One accepted event on its way to Intercom. */
export type Job = {
  id: string;
  /** From 1; counts the attempts that Intercom saw or might have seen. */
  attempt: number;
  receivedAtMs: number;
  atMs: number;
  /** The second given to the Intercom event, once one other than the event's own was chosen. */
  createdAtSeconds: number | null;
  /** Came from an anonymous visitor, and waited for a login. */
  wasHeld: boolean;
  payload: string;
  trace?: string;
};

/** What a person's latest statement withholds or restores; null where nothing was ever withheld. */
export type NewestConsent = Consent & { atMs: number };

export type Standing = { consent: NewestConsent | null };

export type LeaseLimits = { installation: string; people: number; jobsEach: number };

export type Lease = {
  installation: string;
  /** `user:…`, `email:…`, `anon:…` or `erasure:…`. */
  person: string;
  /** The contact record of the person as last settled; opaque to the queue. */
  record: string | null;
  /** Records of people joined to this one since; the next settled record replaces them all. */
  joined: string[];
  /** Set: the one job is to erase this person. */
  erasure: Erasure | null;
  /** As of the lease; `standing` tells the newest. */
  consent: NewestConsent | null;
  jobs: Job[];
  /** Whether further jobs of this person wait behind these. */
  more: boolean;
  /** The engine's fencing token. */
  token: string;
};

export type Progress = {
  /** From the head of the lease, in order. */
  done: Done[];
  record?: string | undefined;
  /** Records that belong to no person. */
  shared?: { key: string; record: string }[] | undefined;
  /** Seconds chosen for jobs that are about to be sent. */
  chosen?: { id: string; createdAtSeconds: number }[] | undefined;
};

export type Done = {
  id: string;
  status: 'delivered' | 'filtered' | 'dead';
  reason: string | null;
  attempt: Attempt;
};

/** What one attempt did, for the log, the console and the redrive. */
export type Attempt = {
  intercomStatus: number | null;
  calls: number;
  ms: number;
  /** The exchange with Intercom as JSON text, without secrets. */
  exchange: string | null;
};

/** `id` is the job that was tried. */
export type Retry = { id: string; afterMs: number; countAttempt: boolean; reason: string; attempt: Attempt | null };

export type QueueStats = {
  /** Since the database was made; accepted = delivered + filtered + dead + queued. */
  accepted: number;
  delivered: number;
  filtered: number;
  dead: number;
  queued: number;
  /** People with queued jobs, and of those the ones that wait for a retry. */
  people: number;
  waiting: number;
  leased: number;
  /** Anonymous visitors whose events wait for a login. */
  held: number;
  /** Receipt of the oldest queued event that waits for no login, Unix ms. */
  oldestQueuedAtMs: number | null;
};

export type StoredInstallation = { id: string; record: string };

/** One management action: who did what to which resource; `changes` as JSON text, without secrets. */
export type AuditEntry = {
  atMs: number;
  action: string;
  resource: string;
  changes: string;
  ipAddress: string;
  userAgent: string;
};

export type AuditPage = { entries: (AuditEntry & { id: string })[]; next: string | null };

/** Nothing of the call was kept: the queue is full for the moment (`overloaded`), or cannot store at all. */
export class QueueUnavailable extends Error {
  readonly kind: 'overloaded' | 'cannot_store';
  constructor(kind: 'overloaded' | 'cannot_store', message: string) {
    super(message);
    this.name = 'QueueUnavailable';
    this.kind = kind;
  }
}
