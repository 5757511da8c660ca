import { createJobLines, grown } from './job-lines.ts';
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
 *
 * Times are those of the steady clock (clock.ts).
 */
export type Lanes = {
  /** Appends a job. A held lane (an anonymous visitor) is never due until it is joined to another. */
  add(person: string, seq: number, held: boolean, dueAtMs?: number): void;
  /** Takes due lanes, longest-waiting first. */
  take(nowMs: number, limit: number): number[];
  /** The first `limit` jobs of a lane; those of them that wait, and all behind them, are left out. */
  head(lane: number, limit: number, nowMs: number): number[];
  size(lane: number): number;
  /** Removes a job; at or near the head of a leased lane. */
  drop(lane: number, seq: number): void;
  /** Lets jobs of a lane wait, wherever in a line they come to stand. An earlier job may go before them. */
  postpone(lane: number, seqs: Set<number>, dueAtMs: number): void;
  /** Ends a lease; the lane is due again as its first job is. */
  release(lane: number): void;
  /** Makes one line of two, in order of acceptance. Waits with it while `from` is leased. */
  join(from: string, into: string): void;
  /** Puts a job back to its place by seq. */
  insert(person: string, seq: number, held: boolean): void;
  /** Removes a job of a held lane. */
  discard(person: string, seq: number): void;
  /** Removes a job that is never to be sent, wherever it stands. */
  remove(person: string, seq: number): void;
  /** All jobs of a person's lane. */
  seqsOf(person: string): number[];
  lengthOf(person: string): number;
  /** Whether a person has jobs or is leased. */
  has(person: string): boolean;
  /** When the next waiting lane becomes due; Infinity when none waits. */
  nextDueAtMs(): number;
  ready(): number;
  /** The first of all jobs that wait for no login; Infinity when there is none. Walks all lanes. */
  oldest(): number;
  counts(): { jobs: number; people: number; waiting: number; leased: number; held: number };
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
  let state = new Uint8Array(1024);
  let next = new Int32Array(1024); // in the ready line, or among the free lanes
  let laneFree = none;
  let laneTop = 0;
  let leasedCount = 0;
  let waitingCount = 0;
  let heldCount = 0;

  let readyHead = none;
  let readyTail = none;
  let readyCount = 0;

  const table = createLaneTable();
  const lines = createJobLines();
  const retries = createRetryHeap();
  /** Joins that wait for the end of a lease, and how many of them a lane waits for. Rare, hence plain maps. */
  const joinAfterLease = new Map<number, number>();
  const blockers = new Map<number, number>();

  function add(person: string, seq: number, isHeld: boolean, dueAtMs = 0): void {
    const lane = findOrMake(person);
    lines.append(lane, seq, dueAtMs);
    if (state[lane] !== free) return;
    if (isHeld) hold(lane);
    else makeDue(lane);
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
      leasedCount += 1;
      taken.push(lane);
    }
    return taken;
  }

  function release(lane: number): void {
    leasedCount -= 1;
    state[lane] = free;
    const into = joinAfterLease.get(lane);
    if (into !== undefined) {
      joinAfterLease.delete(lane);
      inherit(lane, into);
      lines.splice(lane, into);
      removeLane(lane);
      const left = blockers.get(into)! - 1;
      if (left > 0) blockers.set(into, left);
      else blockers.delete(into);
      if (left > 0 || state[into] !== blocked) return;
      settleState(into);
      return;
    }
    settleState(lane);
  }

  /** After a lease or a join: due, blocked by another lease, or gone. */
  function settleState(lane: number): void {
    if (blockers.has(lane)) state[lane] = blocked;
    else if (lines.first(lane) === none) removeLane(lane);
    else makeDue(lane);
  }

  function makeDue(lane: number): void {
    const dueAtMs = lines.firstDueAtMs(lane);
    if (dueAtMs <= 0) {
      pushReady(lane);
      return;
    }
    state[lane] = waiting;
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
    inherit(source, target);
    leave(source, free);
    lines.splice(source, target);
    removeLane(source);
    if (state[target] === leased) return;
    leave(target, free);
    settleState(target);
  }

  /** A line that itself waits for other leases makes the line that it becomes part of wait for them. */
  function inherit(source: number, target: number): void {
    const inherited = blockers.get(source) ?? 0;
    if (inherited === 0) return;
    blockers.delete(source);
    blockers.set(target, (blockers.get(target) ?? 0) + inherited);
    for (const [lease, goal] of joinAfterLease) if (goal === source) joinAfterLease.set(lease, target);
  }

  /** Takes a lane out of the ready line or the retry heap, both of which skip what changed its state. */
  function leave(lane: number, to: number): void {
    if (state[lane] === waiting) waitingCount -= 1;
    if (state[lane] === ready) unlinkReady(lane);
    if (state[lane] === held) heldCount -= 1;
    state[lane] = to;
  }

  function insert(person: string, seq: number, isHeld: boolean): void {
    const lane = findOrMake(person);
    lines.insert(lane, seq);
    // The wait is that of the job that was tried; a redriven one before it goes at once.
    if (state[lane] === waiting && lines.first(lane) === seq) leave(lane, free);
    if (state[lane] !== free) return;
    if (isHeld) hold(lane);
    else makeDue(lane);
  }

  function discard(person: string, seq: number): void {
    const lane = find(person);
    if (lane === none || state[lane] !== held) return;
    lines.drop(lane, seq);
    if (lines.length(lane) > 0) return;
    heldCount -= 1;
    removeLane(lane);
  }

  function remove(person: string, seq: number): void {
    const lane = find(person);
    if (lane === none) return;
    if (state[lane] === held) {
      discard(person, seq);
      return;
    }
    lines.drop(lane, seq);
    if (state[lane] !== waiting) return; // an empty line that is taken, or released, ends by itself
    leave(lane, free);
    settleState(lane);
  }

  function seqsOf(person: string): number[] {
    const lane = find(person);
    return lane === none ? [] : lines.head(lane, Infinity, Infinity);
  }

  function hold(lane: number): void {
    state[lane] = held;
    heldCount += 1;
  }

  function lengthOf(person: string): number {
    const lane = find(person);
    return lane === none ? 0 : lines.length(lane);
  }

  function nextDueAtMs(): number {
    while (retries.size() > 0) {
      const { lane, dueAtMs } = retries.peek();
      if (state[lane] === waiting && lines.firstDueAtMs(lane) === dueAtMs) return dueAtMs;
      retries.pop(); // the lane has left its wait, by a join or a redrive
    }
    return Infinity;
  }

  function oldest(): number {
    let first = Infinity;
    for (let lane = 0; lane < laneTop; lane += 1) {
      if (state[lane] === free || state[lane] === held) continue;
      const seq = lines.first(lane);
      if (seq !== none && seq < first) first = seq;
    }
    return first;
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
      if (laneTop === state.length) growLanes();
      lane = laneTop;
      laneTop += 1;
    }
    state[lane] = free;
    return lane;
  }

  function growLanes(): void {
    state = grown(state, new Uint8Array(laneTop * 2));
    next = grown(next, new Int32Array(laneTop * 2));
  }

  return {
    add,
    take,
    head: lines.head,
    size: lines.length,
    drop: lines.drop,
    postpone: lines.setDue,
    release,
    join,
    insert,
    discard,
    remove,
    seqsOf,
    lengthOf,
    has: (person) => find(person) !== none,
    nextDueAtMs,
    ready: () => readyCount,
    oldest,
    counts: () => ({
      jobs: lines.total(),
      people: table.size(),
      waiting: waitingCount,
      leased: leasedCount,
      held: heldCount,
    }),
  };
}
