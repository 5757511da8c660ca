// For `--import`: the wall clock of this process is off by as many milliseconds as the file CLOCK_SHIFT_FILE says at the
// moment, as if somebody set it. What Node measures without the wall clock (timers, performance) goes on as it was.
import { readFileSync } from 'node:fs';

const file = process.env.CLOCK_SHIFT_FILE ?? '';
const rereadAfterMs = 5;
const real = Date.now;
let shiftMs = 0;
let readAtMs = -Infinity;

function now(): number {
  if (performance.now() - readAtMs > rereadAfterMs) {
    readAtMs = performance.now();
    shiftMs = Number(readFileSync(file, 'utf8'));
  }
  return real() + shiftMs;
}

globalThis.Date = new Proxy(Date, {
  construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  get: (target, key, receiver) => (key === 'now' ? now : Reflect.get(target, key, receiver)),
});
