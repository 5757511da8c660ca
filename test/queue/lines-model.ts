import assert from 'node:assert/strict';

/**
 * Whose jobs wait in which order, and who is due: written to be obviously right, not fast.
 *
 * One list of jobs by acceptance, each with its person, and one map of who a key belongs to by now. When two people
 * turn out to be one, jobs and leases change their person. A key that is given to somebody else (a device to its next
 * user) takes no jobs along: they are those of the person that they had been joined to.
 *
 * A retry's wait is that of the jobs that it was for: while the first of a line waits, so does its person, and nobody
 * is handed a job that waits, nor one behind it. An earlier job that comes in front (by a join or a redrive) is due.
 */
export type LinesModel = ReturnType<typeof createLinesModel>;

export type Holder = { person: string };
export type Retried = { seqs: number[]; dueAtMs: number };

type QueuedJob = { seq: number; person: string; dueAtMs: number };

export function createLinesModel() {
  const owners = new Map<string, string>();
  const holders = new Set<Holder>();
  /** Who was due at which call of `judgeTaken`, and had to stay: these go first. */
  const passedOver = new Map<string, number>();
  let jobs: QueuedJob[] = [];
  let takes = 0;

  const ownerOf = (key: string): string => owners.get(key) ?? key;
  const lineOf = (person: string): QueuedJob[] => jobs.filter((job) => job.person === person);
  const isLeased = (person: string): boolean => [...holders].some((holder) => holder.person === person);
  const people = (): string[] => [...new Set(jobs.map(({ person }) => person))];

  function give(key: string, person: string): void {
    owners.set(key, person);
  }

  function join(from: string, into: string): void {
    for (const [key, owner] of owners) if (owner === from) owners.set(key, into);
    owners.set(from, into);
    for (const held of [...jobs, ...holders]) if (held.person === from) held.person = into;
    passedOver.delete(from);
    passedOver.set(into, Number.NaN); // which of the two places counts, is left open
  }

  /** A new job, or one that comes back to its place. */
  function add(person: string, seq: number, dueAtMs = 0): void {
    jobs.push({ seq, person, dueAtMs });
    jobs.sort((a, b) => a.seq - b.seq);
  }

  function drop(seq: number): void {
    jobs = jobs.filter((job) => job.seq !== seq);
  }

  function lease(person: string): Holder {
    const holder = { person };
    holders.add(holder);
    passedOver.delete(person);
    return holder;
  }

  function release(holder: Holder, retried?: Retried): void {
    if (!holders.delete(holder) || !retried) return;
    for (const job of jobs) if (retried.seqs.includes(job.seq)) job.dueAtMs = retried.dueAtMs;
  }

  /** What is in memory alone is gone. */
  function restart(): void {
    holders.clear();
    passedOver.clear();
  }

  function isDue(person: string, nowMs: number): boolean {
    const head = lineOf(person)[0];
    return head !== undefined && !isVisitor(person) && !isLeased(person) && head.dueAtMs <= nowMs;
  }

  /** What a lease of this person may hold: the jobs before the first one that waits. */
  function dueLine(person: string, nowMs: number): number[] {
    const line = lineOf(person);
    const waits = line.findIndex(({ dueAtMs }) => dueAtMs > nowMs);
    return line.slice(0, waits < 0 ? line.length : waits).map(({ seq }) => seq);
  }

  /** Due people alone, as many as asked for, and nobody before one who was passed over earlier. */
  function judgeTaken(
    taken: string[],
    limit: number,
    nowMs: number,
    isAsked: (person: string) => boolean = () => true,
  ): void {
    assert.equal(new Set(taken).size, taken.length, 'nobody is handed out twice');
    assert.ok(taken.length <= limit, 'no more people than asked for');
    for (const person of taken) assert.ok(isDue(person, nowMs), `${person} is not due`);
    const left = people().filter((person) => isAsked(person) && isDue(person, nowMs) && !taken.includes(person));
    if (taken.length < limit) assert.deepEqual(left, [], 'whoever is due is handed out');
    const turnOf = (person: string): number => passedOver.get(person) ?? takes + 1;
    for (const person of left)
      for (const other of taken)
        assert.ok(!(turnOf(other) > turnOf(person)), `${person} has waited longer than ${other}`);
    takes += 1;
    for (const person of left) if (!passedOver.has(person)) passedOver.set(person, takes);
  }

  function judgeCounts(
    counts: { jobs: number; people: number; waiting: number; leased: number; held: number },
    nowMs: number,
  ): void {
    const all = people();
    const free = all.filter((person) => !isVisitor(person) && !isLeased(person));
    const count = (list: string[], test: (person: string) => boolean): number => list.filter(test).length;
    assert.equal(counts.jobs, jobs.length, 'queued jobs');
    assert.equal(counts.leased, holders.size, 'leased people');
    assert.equal(counts.held, count(all, isVisitor), 'held visitors');
    // Somebody whose jobs have all ended is counted until the release, and so is who waits for the end of a lease.
    assert.ok(counts.people >= all.length - holders.size && counts.people <= all.length + 2 * holders.size, 'people');
    if (holders.size === 0) assert.equal(counts.people, all.length, 'people with queued jobs');
    // Somebody whose time has come is counted as waiting until the next look.
    const fewest = count(free, (person) => !isDue(person, nowMs));
    const most = count(free, (person) => !isDue(person, 0));
    assert.ok(counts.waiting >= fewest && counts.waiting <= most, `${counts.waiting} wait, not ${fewest} to ${most}`);
  }

  /** The times that those who are neither leased nor held wait for; past ones, too. */
  function waits(): number[] {
    const free = people().filter((person) => !isVisitor(person) && !isLeased(person));
    return free.map((person) => lineOf(person)[0]!.dueAtMs).filter((dueAtMs) => dueAtMs > 0);
  }

  return {
    ownerOf,
    give,
    join,
    add,
    drop,
    lease,
    release,
    restart,
    people,
    isLeased,
    dueLine,
    /** The first job that waits for no login. */
    oldest: (): number | undefined => jobs.find(({ person }) => !isVisitor(person))?.seq,
    line: (person: string): number[] => lineOf(person).map(({ seq }) => seq),
    judgeTaken,
    judgeCounts,
    waits,
  };
}

export const isVisitor = (person: string): boolean => person.includes('anon:');
