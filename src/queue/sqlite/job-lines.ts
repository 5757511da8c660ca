/**
 * The jobs of each lane in order of acceptance: linked lists in typed arrays, 12 bytes a job and 12 a lane; jobs that
 * wait for a time are few.
 * A lane's number comes from outside; an unused one has no jobs.
 */
export type JobLines = {
  append(lane: number, seq: number, dueAtMs: number): void;
  /** Puts a job to its place by seq. */
  insert(lane: number, seq: number): void;
  /** The seqs of the first jobs, at most `limit`, and none from the first one on that is due later than `nowMs`. */
  head(lane: number, limit: number, nowMs: number): number[];
  /** The seq of the first job; -1 where there is none. */
  first(lane: number): number;
  /** When the first job is due; 0 is at once. */
  firstDueAtMs(lane: number): number;
  /** Gives the jobs with these seqs, which stand at or near the head, another time. */
  setDue(lane: number, due: Set<number>, dueAtMs: number): void;
  length(lane: number): number;
  /** Removes a job, which usually stands at or near the head. */
  drop(lane: number, seq: number): void;
  /** Moves the jobs of `source` to `target`, each to its place by seq. */
  splice(source: number, target: number): void;
  total(): number;
};

const none = -1;

export function createJobLines(): JobLines {
  let seqs = new Float64Array(1024);
  /** By seq; who is not in it is due at once. */
  const dues = new Map<number, number>();
  let nexts = new Int32Array(1024);
  let free = none;
  let top = 0;
  let count = 0;

  let heads = new Int32Array(1024).fill(none); // by lane
  let tails = new Int32Array(1024).fill(none);
  let lengths = new Int32Array(1024);

  function append(lane: number, seq: number, dueAtMs: number): void {
    if (lane >= heads.length) growLanes();
    const job = newJob(seq, dueAtMs);
    if (heads[lane] === none) heads[lane] = job;
    else nexts[tails[lane]!] = job;
    tails[lane] = job;
    lengths[lane]! += 1;
  }

  function insert(lane: number, seq: number): void {
    let before = none;
    for (let job = headOf(lane); job !== none && seqs[job]! < seq; job = nexts[job]!) before = job;
    if (before === none ? headOf(lane) === none : nexts[before] === none) {
      append(lane, seq, 0);
      return;
    }
    const job = newJob(seq, 0);
    if (before === none) {
      nexts[job] = heads[lane]!;
      heads[lane] = job;
    } else {
      nexts[job] = nexts[before]!;
      nexts[before] = job;
    }
    lengths[lane]! += 1;
  }

  function head(lane: number, limit: number, nowMs: number): number[] {
    const found: number[] = [];
    for (let job = headOf(lane); job !== none && found.length < limit; job = nexts[job]!) {
      const seq = seqs[job]!;
      if (dueOf(seq) > nowMs) break;
      found.push(seq);
    }
    return found;
  }

  function setDue(lane: number, due: Set<number>, dueAtMs: number): void {
    let left = due.size;
    for (let job = headOf(lane); job !== none && left > 0; job = nexts[job]!) {
      if (!due.has(seqs[job]!)) continue;
      setDueOf(seqs[job]!, dueAtMs);
      left -= 1;
    }
  }

  function dueOf(seq: number): number {
    return dues.get(seq) ?? 0;
  }

  function setDueOf(seq: number, dueAtMs: number): void {
    if (dueAtMs > 0) dues.set(seq, dueAtMs);
    else dues.delete(seq);
  }

  function headOf(lane: number): number {
    return lane < heads.length ? heads[lane]! : none;
  }

  function drop(lane: number, seq: number): void {
    let before = none;
    for (let job = headOf(lane); job !== none; before = job, job = nexts[job]!) {
      if (seqs[job] !== seq) continue;
      if (before === none) heads[lane] = nexts[job]!;
      else nexts[before] = nexts[job]!;
      if (tails[lane] === job) tails[lane] = before;
      lengths[lane]! -= 1;
      nexts[job] = free;
      free = job;
      count -= 1;
      dues.delete(seq);
      return;
    }
  }

  function splice(source: number, target: number): void {
    if (Math.max(source, target) >= heads.length) growLanes();
    let a = heads[target]!;
    let b = heads[source]!;
    let front = none;
    let tail = none;
    while (a !== none || b !== none) {
      const fromA = b === none || (a !== none && seqs[a]! < seqs[b]!);
      const job = fromA ? a : b;
      if (fromA) a = nexts[a]!;
      else b = nexts[b]!;
      if (tail === none) front = job;
      else nexts[tail] = job;
      tail = job;
    }
    if (tail !== none) nexts[tail] = none;
    heads[target] = front;
    tails[target] = tail;
    lengths[target]! += lengths[source]!;
    heads[source] = none;
    tails[source] = none;
    lengths[source] = 0;
  }

  function newJob(seq: number, dueAtMs: number): number {
    let job = free;
    if (job !== none) free = nexts[job]!;
    else {
      if (top === seqs.length) {
        seqs = grown(seqs, new Float64Array(top * 2));
        nexts = grown(nexts, new Int32Array(top * 2));
      }
      job = top;
      top += 1;
    }
    seqs[job] = seq;
    setDueOf(seq, dueAtMs);
    nexts[job] = none;
    count += 1;
    return job;
  }

  /** Lane numbers are handed out one by one, so that one doubling is always enough. */
  function growLanes(): void {
    const size = heads.length;
    heads = grown(heads, new Int32Array(size * 2).fill(none, size));
    tails = grown(tails, new Int32Array(size * 2).fill(none, size));
    lengths = grown(lengths, new Int32Array(size * 2));
  }

  return {
    append,
    insert,
    head,
    first: (lane) => (headOf(lane) === none ? none : seqs[heads[lane]!]!),
    firstDueAtMs: (lane) => (headOf(lane) === none ? 0 : dueOf(seqs[heads[lane]!]!)),
    setDue,
    length: (lane) => lengths[lane] ?? 0,
    drop,
    splice,
    total: () => count,
  };
}

/** A longer array with the same beginning. */
export function grown<A extends { set(from: ArrayLike<number>): void }>(from: ArrayLike<number>, to: A): A {
  to.set(from);
  return to;
}
