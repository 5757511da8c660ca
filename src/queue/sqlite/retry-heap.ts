/** A binary min-heap of lane numbers by due time. Its owner drops entries that no longer hold when they come up. */
export function createRetryHeap() {
  const lanes: number[] = [];
  const keys: number[] = [];

  function swap(i: number, j: number): void {
    [lanes[i], lanes[j]] = [lanes[j]!, lanes[i]!];
    [keys[i], keys[j]] = [keys[j]!, keys[i]!];
  }

  return {
    size: () => lanes.length,
    peek: (): { lane: number; dueAtMs: number } => ({ lane: lanes[0]!, dueAtMs: keys[0]! }),
    push(lane: number, dueAtMs: number): void {
      lanes.push(lane);
      keys.push(dueAtMs);
      for (let i = lanes.length - 1; i > 0;) {
        const parent = (i - 1) >> 1;
        if (keys[parent]! <= keys[i]!) return;
        swap(i, parent);
        i = parent;
      }
    },
    pop(): void {
      swap(0, lanes.length - 1);
      lanes.pop();
      keys.pop();
      for (let i = 0; ;) {
        const left = 2 * i + 1;
        if (left >= lanes.length) return;
        const right = left + 1;
        const smaller = right < lanes.length && keys[right]! < keys[left]! ? right : left;
        if (keys[i]! <= keys[smaller]!) return;
        swap(i, smaller);
        i = smaller;
      }
    },
  };
}
