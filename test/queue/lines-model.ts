import assert from 'node:assert/strict';

/**
 * Whose jobs wait in which order, and who is due: written to be obviously right, not fast.
 *
 * One list of jobs by acceptance, each with its person, and one map of who a key belongs to by now. When two people
 * turn out to be one, jobs and leases change their person. A key that is given to somebody else (a device to its next
 * user) takes no jobs along: they are those of the person that they had been joined to.
 *
 * The contract promises that a retry makes its person wait. It doesn't say what becomes of the wait when an earlier
 * job gets in front of it (by a join or a redrive), or when the person is joined while in flight: then both
 * waiting and being due are right (`either`), until the time has come in any case.
 */
export type LinesModel = ReturnType<typeof createLinesModel>;

export type Holder = { person: string };
export type Retried = { seq: number; dueAtMs: number };

type QueuedJob = { seq: number; person: string; dueAtMs: number; mayForgetWait: boolean };

export function createLinesModel() {
  const owners = new Map<string, string>();
  const holders = new Set<Holder>();
  /** Until when a person may be kept waiting for what is not the head of the line any more. */
  const mayWaitUntil = new Map<string, number>();
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
    mayWaitUntil.set(into, Math.max(mayWaitUntil.get(from) ?? 0, mayWaitUntil.get(into) ?? 0));
    disturb(into);
  }

  function add(person: string, seq: number): void {
    jobs.push({ seq, person, dueAtMs: 0, mayForgetWait: false });
    jobs.sort((a, b) => a.seq - b.seq);
    weakenBehindHeads();
  }

  /** A job that comes back to its place. */
  function insert(person: string, seq: number): void {
    add(person, seq);
    disturb(person);
  }

  function disturb(person: string): void {
    const line = lineOf(person);
    if (isLeased(person)) {
      for (const job of line) job.mayForgetWait = true;
      mayWaitUntil.set(person, Math.max(mayWaitUntil.get(person) ?? 0, ...line.map(({ dueAtMs }) => dueAtMs)));
    }
    weakenBehindHeads();
  }

  function weakenBehindHeads(): void {
    for (const person of people()) for (const job of lineOf(person).slice(1)) job.mayForgetWait = true;
  }

  function drop(seq: number): void {
    jobs = jobs.filter((job) => job.seq !== seq);
  }

  function lease(person: string): Holder {
    const holder = { person };
    holders.add(holder);
    mayWaitUntil.delete(person);
    passedOver.delete(person);
    return holder;
  }

  function release(holder: Holder, retried?: Retried): void {
    if (!holders.delete(holder)) return;
    const { person } = holder;
    const job = jobs.find(({ seq }) => seq === retried?.seq);
    if (!job || !retried) return;
    job.dueAtMs = retried.dueAtMs;
    job.mayForgetWait = isLeased(person);
    if (isLeased(person) || lineOf(person)[0] !== job)
      mayWaitUntil.set(person, Math.max(mayWaitUntil.get(person) ?? 0, retried.dueAtMs));
    weakenBehindHeads();
  }

  /** What is in memory alone is gone. */
  function restart(): void {
    holders.clear();
    mayWaitUntil.clear();
    passedOver.clear();
    for (const job of jobs) job.mayForgetWait = false;
    weakenBehindHeads();
  }

  function dueness(person: string, nowMs: number): 'due' | 'waits' | 'either' {
    const head = lineOf(person)[0];
    if (!head || isVisitor(person) || isLeased(person)) return 'waits';
    if (head.dueAtMs > nowMs) return head.mayForgetWait ? 'either' : 'waits';
    return (mayWaitUntil.get(person) ?? 0) > nowMs ? 'either' : 'due';
  }

  /** Due people alone, as many as asked for, and nobody before one who was passed over earlier. */
  function judgeTaken(taken: string[], limit: number, nowMs: number): void {
    assert.equal(new Set(taken).size, taken.length, 'nobody is handed out twice');
    assert.ok(taken.length <= limit, 'no more people than asked for');
    for (const person of taken) assert.notEqual(dueness(person, nowMs), 'waits', `${person} is not due`);
    const left = people().filter((person) => dueness(person, nowMs) === 'due' && !taken.includes(person));
    if (taken.length < limit) assert.deepEqual(left, [], 'whoever is due is handed out');
    const turnOf = (person: string): number => passedOver.get(person) ?? takes + 1;
    const certain = taken.filter((person) => dueness(person, nowMs) === 'due');
    for (const person of left)
      for (const other of certain)
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
    const fewest = count(free, (person) => dueness(person, nowMs) === 'waits');
    const most = count(free, (person) => dueness(person, 0) !== 'due');
    assert.ok(counts.waiting >= fewest && counts.waiting <= most, `${counts.waiting} wait, not ${fewest} to ${most}`);
  }

  return {
    ownerOf,
    give,
    join,
    add,
    insert,
    drop,
    lease,
    release,
    restart,
    people,
    isLeased,
    /** The first job that waits for no login. */
    oldest: (): number | undefined => jobs.find(({ person }) => !isVisitor(person))?.seq,
    line: (person: string): number[] => lineOf(person).map(({ seq }) => seq),
    judgeTaken,
    judgeCounts,
  };
}

export const isVisitor = (person: string): boolean => person.includes('anon:');
