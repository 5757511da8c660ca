import { createLaneTable, hashPerson } from './lane-table.ts';
import { createRetryHeap } from './retry-heap.ts';

/**
 * The people with queued jobs, in memory: who is due, who is held by a lease, who waits for a retry.
 *
 * A lane is one person's line of jobs (by `seq`, the order of acceptance). A million queued events must fit beside
 * the service in 256 MB, so that lanes and jobs are numbers in typed arrays (about 60 bytes a person with one job)
 * instead of objects. A lane is found by a 64-bit hash of its person; two people who share a hash share a lane,
 * which costs them some waiting and nothing else: the person of each job stands in the database and is checked
 * when the job is leased.
 */
export type Lanes = {
  /** Appends a job. A held lane (an anonymous visitor) is never due until it is joined to another. */
  add(person: string, seq: number, held: boolean, dueAtMs?: number): void;
  /** Takes due lanes, longest-waiting first. */
  take(nowMs: number, limit: number): number[];
  /** The first `limit` jobs of a lane. */
  head(lane: number, limit: number): number[];
  size(lane: number): number;
  epoch(lane: number): number;
  /** Removes a job; at or near the head of a leased lane. */
  drop(lane: number, seq: number): void;
  /** Ends a lease; the lane is due again at `dueAtMs` (0: now). */
  release(lane: number, dueAtMs: number): void;
  /** Makes one line of two, in order of acceptance. Waits with it while `from` is leased. */
  join(from: string, into: string): void;
  /** The jobs of a person's lane, or none. */
  jobsOf(person: string): number[];
  /** When the next waiting lane becomes due; Infinity when none waits. */
  nextDueAtMs(): number;
  ready(): number;
  counts(): { jobs: number; people: number; waiting: number; leased: number };
};

const free = 0;
const ready = 1;
const leased = 2;
const waiting = 3;
const held = 4;
/** Joined by a lane that is still leased: due once that lease ends. */
const blocked = 5;

const none = -1;

export function createLanes(): Lanes {
  let jobCapacity = 1024;
  let jobSeq = new Float64Array(jobCapacity);
  let jobNext = new Int32Array(jobCapacity);
  let jobFree = none;
  let jobTop = 0;
  let jobs = 0;

  let laneCapacity = 1024;
  let first = new Int32Array(laneCapacity);
  let last = new Int32Array(laneCapacity);
  let length = new Int32Array(laneCapacity);
  let state = new Uint8Array(laneCapacity);
  let epochs = new Uint32Array(laneCapacity);
  let dueAt = new Float64Array(laneCapacity);
  let next = new Int32Array(laneCapacity); // in the ready line, or among the free lanes
  let laneFree = none;
  let laneTop = 0;
  let leasedCount = 0;
  let waitingCount = 0;

  let readyHead = none;
  let readyTail = none;
  let readyCount = 0;

  const table = createLaneTable();
  const retries = createRetryHeap();
  /** Joins that wait for the end of a lease, and how many of them a lane waits for. Rare, hence plain maps. */
  const joinAfterLease = new Map<number, number>();
  const blockers = new Map<number, number>();

  function add(person: string, seq: number, isHeld: boolean, dueAtMs = 0): void {
    const lane = findOrMake(person);
    const job = newJob(seq);
    if (first[lane] === none) first[lane] = job;
    else jobNext[last[lane]!] = job;
    last[lane] = job;
    length[lane]! += 1;
    if (state[lane] !== free) return;
    if (isHeld) state[lane] = held;
    else makeDue(lane, dueAtMs);
  }

  function take(nowMs: number, limit: number): number[] {
    while (nextDueAtMs() <= nowMs) {
      const { lane } = retries.peek();
      retries.pop();
      waitingCount -= 1;
      pushReady(lane);
    }
    const taken: number[] = [];
    while (taken.length < limit && readyHead !== none) {
      const lane = popReady();
      state[lane] = leased;
      epochs[lane]! += 1;
      leasedCount += 1;
      taken.push(lane);
    }
    return taken;
  }

  function head(lane: number, limit: number): number[] {
    const seqs: number[] = [];
    for (let job = first[lane]!; job !== none && seqs.length < limit; job = jobNext[job]!) seqs.push(jobSeq[job]!);
    return seqs;
  }

  function drop(lane: number, seq: number): void {
    let before = none;
    for (let job = first[lane]!; job !== none; before = job, job = jobNext[job]!) {
      if (jobSeq[job] !== seq) continue;
      if (before === none) first[lane] = jobNext[job]!;
      else jobNext[before] = jobNext[job]!;
      if (last[lane] === job) last[lane] = before;
      length[lane]! -= 1;
      jobNext[job] = jobFree;
      jobFree = job;
      jobs -= 1;
      return;
    }
  }

  function release(lane: number, dueAtMs: number): void {
    leasedCount -= 1;
    epochs[lane]! += 1;
    state[lane] = free;
    const into = joinAfterLease.get(lane);
    if (into !== undefined) {
      joinAfterLease.delete(lane);
      const headBefore = first[into]!;
      splice(lane, into);
      removeLane(lane);
      const due = first[into] === headBefore ? dueAt[into]! : dueAtMs;
      const left = blockers.get(into)! - 1;
      if (left > 0) blockers.set(into, left);
      else blockers.delete(into);
      if (left > 0 || state[into] !== blocked) return;
      settleState(into, due);
      return;
    }
    settleState(lane, dueAtMs);
  }

  /** After a lease or a join: due, blocked by another lease, or gone. */
  function settleState(lane: number, dueAtMs: number): void {
    if (blockers.has(lane)) {
      state[lane] = blocked;
      dueAt[lane] = dueAtMs;
    } else if (first[lane] === none) {
      removeLane(lane);
    } else {
      makeDue(lane, dueAtMs);
    }
  }

  function makeDue(lane: number, dueAtMs: number): void {
    if (dueAtMs <= 0) {
      pushReady(lane);
      return;
    }
    state[lane] = waiting;
    dueAt[lane] = dueAtMs;
    waitingCount += 1;
    retries.push(lane, dueAtMs);
  }

  function join(from: string, into: string): void {
    const source = find(from);
    if (source === none) return;
    const target = findOrMake(into);
    if (source === target) return;
    if (state[source] === leased) {
      if (joinAfterLease.has(source)) return;
      joinAfterLease.set(source, target);
      blockers.set(target, (blockers.get(target) ?? 0) + 1);
      if (state[target] !== leased) leave(target, blocked);
      return;
    }
    // A line that itself waits for another lease keeps the person blocked under its new name.
    const inherited = blockers.get(source) ?? 0;
    if (inherited > 0) {
      blockers.delete(source);
      blockers.set(target, (blockers.get(target) ?? 0) + inherited);
      for (const [lease, goal] of joinAfterLease) if (goal === source) joinAfterLease.set(lease, target);
    }
    const headBefore = first[target]!;
    const sourceDueAt = state[source] === waiting ? dueAt[source]! : 0;
    leave(source, free);
    splice(source, target);
    removeLane(source);
    if (state[target] === leased) return;
    const targetDueAt = state[target] === waiting ? dueAt[target]! : 0;
    // The retry time belongs to the job at the head, whichever line it came from.
    const due = first[target] === headBefore ? targetDueAt : sourceDueAt;
    leave(target, free);
    settleState(target, due);
  }

  /** Takes a lane out of the ready line or the retry heap, both of which skip what changed its state. */
  function leave(lane: number, to: number): void {
    if (state[lane] === waiting) waitingCount -= 1;
    if (state[lane] === ready) unlinkReady(lane);
    if (state[lane] !== blocked) dueAt[lane] = state[lane] === waiting ? dueAt[lane]! : 0;
    state[lane] = to;
  }

  function splice(source: number, target: number): void {
    let a = first[target]!;
    let b = first[source]!;
    let tail = none;
    let front = none;
    while (a !== none || b !== none) {
      const fromA = b === none || (a !== none && jobSeq[a]! < jobSeq[b]!);
      const job = fromA ? a : b;
      if (fromA) a = jobNext[a]!;
      else b = jobNext[b]!;
      if (tail === none) front = job;
      else jobNext[tail] = job;
      tail = job;
    }
    if (tail !== none) jobNext[tail] = none;
    first[target] = front;
    last[target] = tail;
    length[target]! += length[source]!;
    first[source] = none;
    last[source] = none;
    length[source] = 0;
  }

  function jobsOf(person: string): number[] {
    const lane = find(person);
    return lane === none ? [] : head(lane, Infinity);
  }

  function nextDueAtMs(): number {
    while (retries.size() > 0) {
      const { lane, dueAtMs } = retries.peek();
      if (state[lane] === waiting && dueAt[lane] === dueAtMs) return dueAtMs;
      retries.pop(); // the lane has left its wait, by a join
    }
    return Infinity;
  }

  // The ready line.

  function pushReady(lane: number): void {
    state[lane] = ready;
    next[lane] = none;
    if (readyTail === none) readyHead = lane;
    else next[readyTail] = lane;
    readyTail = lane;
    readyCount += 1;
  }

  function popReady(): number {
    const lane = readyHead;
    readyHead = next[lane]!;
    if (readyHead === none) readyTail = none;
    readyCount -= 1;
    return lane;
  }

  /** Walks the line: only a join does this, and only for a lane that waits to be taken. */
  function unlinkReady(lane: number): void {
    let before = none;
    for (let at = readyHead; at !== none; before = at, at = next[at]!) {
      if (at !== lane) continue;
      if (before === none) readyHead = next[at]!;
      else next[before] = next[at]!;
      if (readyTail === lane) readyTail = before;
      readyCount -= 1;
      return;
    }
  }

  // Lanes by person.

  function find(person: string): number {
    return table.find(hashPerson(person));
  }

  function findOrMake(person: string): number {
    const hash = hashPerson(person);
    const found = table.find(hash);
    if (found !== none) return found;
    const lane = newLane();
    table.add(hash, lane);
    return lane;
  }

  function removeLane(lane: number): void {
    table.remove(lane);
    state[lane] = free;
    next[lane] = laneFree;
    laneFree = lane;
  }

  function newLane(): number {
    let lane = laneFree;
    if (lane !== none) laneFree = next[lane]!;
    else {
      if (laneTop === laneCapacity) growLanes();
      lane = laneTop;
      laneTop += 1;
    }
    first[lane] = none;
    last[lane] = none;
    length[lane] = 0;
    state[lane] = free;
    dueAt[lane] = 0;
    return lane;
  }

  function newJob(seq: number): number {
    let job = jobFree;
    if (job !== none) jobFree = jobNext[job]!;
    else {
      if (jobTop === jobCapacity) growJobs();
      job = jobTop;
      jobTop += 1;
    }
    jobSeq[job] = seq;
    jobNext[job] = none;
    jobs += 1;
    return job;
  }

  function growJobs(): void {
    jobCapacity *= 2;
    jobSeq = grown(jobSeq, new Float64Array(jobCapacity));
    jobNext = grown(jobNext, new Int32Array(jobCapacity));
  }

  function growLanes(): void {
    laneCapacity *= 2;
    first = grown(first, new Int32Array(laneCapacity));
    last = grown(last, new Int32Array(laneCapacity));
    length = grown(length, new Int32Array(laneCapacity));
    state = grown(state, new Uint8Array(laneCapacity));
    epochs = grown(epochs, new Uint32Array(laneCapacity));
    dueAt = grown(dueAt, new Float64Array(laneCapacity));
    next = grown(next, new Int32Array(laneCapacity));
  }

  return {
    add,
    take,
    head,
    size: (lane) => length[lane]!,
    epoch: (lane) => epochs[lane]!,
    drop,
    release,
    join,
    jobsOf,
    nextDueAtMs,
    ready: () => readyCount,
    counts: () => ({ jobs, people: table.size(), waiting: waitingCount, leased: leasedCount }),
  };
}

function grown<A extends { set(from: ArrayLike<number>): void }>(from: ArrayLike<number>, to: A): A {
  to.set(from);
  return to;
}
