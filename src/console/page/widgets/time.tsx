import { signal } from '@preact/signals';

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** Moves on once a second, for what is counted from now. */
export const nowMs = signal(Date.now());
setInterval(() => (nowMs.value = Date.now()), 1000);

/** The time of day, and the day too where it is not today's. */
export function Time({ ms }: { ms: number }) {
  const date = new Date(ms);
  const isToday = date.toDateString() === new Date().toDateString();
  return (
    <time class="time" dateTime={date.toISOString()} title={full.format(date)}>
      {isToday ? '' : `${day.format(date)} `}
      {clock.format(date)}
    </time>
  );
}

/** How long ago, or how soon; counts on by itself. */
export function Ago({ ms }: { ms: number }) {
  const date = new Date(ms);
  const away = Math.round((ms - nowMs.value) / 1000) * 1000;
  const text = away === 0 ? 'now' : away > 0 ? `in ${duration(away)}` : `${duration(-away)} ago`;
  return (
    <time class="time" dateTime={date.toISOString()} title={full.format(date)}>
      {text}
    </time>
  );
}

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const;

/** The two largest units: `2 h 5 min`; below ten seconds to a tenth; below one in ms. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${Math.round(ms / 100) / 10} s`;
  const first = units.findIndex(([, length]) => ms >= length);
  const [name, length] = units[first] ?? units[3];
  const next = units[first + 1];
  const whole = Math.floor(ms / length);
  const rest = next ? Math.floor((ms - whole * length) / next[1]) : 0;
  return next && rest > 0 && whole < 10 ? `${whole} ${name} ${rest} ${next[0]}` : `${whole} ${name}`;
}

const numbers = new Intl.NumberFormat('en');
export const count = (value: number): string => numbers.format(value);
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${numbers.format(value)} ${value === 1 ? one : many}`;
