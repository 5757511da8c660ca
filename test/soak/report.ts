import { type Flatness, isFlat } from './judge.ts';
import type { Outcome } from './run.ts';

export const isWell = ({ flatness, objections }: Pick<Outcome, 'flatness' | 'objections'>): boolean =>
  objections.length === 0 && flatness.every(isFlat);

export function report(outcome: Outcome): string[] {
  const { totals, restarts, faults, flatness, objections } = outcome;
  return [
    `${totals.posts} requests, ${totals.accepted} events accepted, ${totals.invalid} invalid, ${totals.duplicates} sent twice, ${totals.repeats} requests repeated`,
    `${faults} faults of Intercom, ${outcome.evidence.refused.size} events refused by it; ${restarts.killed} kill -9, ${restarts.stopped} SIGTERM`,
    ...flatness.map(lineOf),
    ...objections.slice(0, 20),
    objections.length === 0 ? 'nothing lost, doubled or out of order' : `${objections.length} objections`,
  ];
}

function lineOf(flatness: Flatness): string {
  const { what, unit, before, after, limit } = flatness;
  const round = (value: number): string => `${Math.round(value * 10) / 10} ${unit}`.trim();
  return `${what}: ${round(before)} in the first third, ${round(after)} in the last, limit ${round(limit)}: ${isFlat(flatness) ? 'flat' : 'NOT flat'}`;
}
