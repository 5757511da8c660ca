import type { Simulator } from '../../src/simulator/simulator.ts';
import { until } from '../service.ts';

/** Calls that name `prefix` conflict, again and again, until the simulator's faults are cleared. */
export function conflictFor(simulator: Simulator, prefix: string): void {
  simulator.inject({
    kind: 'status',
    status: 409,
    body: { type: 'error.list', errors: [{ code: 'conflict', message: 'try again' }] },
    times: Infinity,
    when: ({ requestBody }) => names(requestBody, prefix),
  });
}

/** Far in their retries: the waits are seconds by then, and would not be over by chance. */
export async function waitForFifthAttempt(simulator: Simulator, people: { id: string }[]): Promise<void> {
  const attempts = (id: string): number =>
    simulator.calls.filter(({ requestBody }) => names(requestBody, `"${id}"`)).length;
  await until('they wait for a fifth attempt', () => people.every(({ id }) => attempts(id) >= 4));
}

export function names(body: unknown, text: string): boolean {
  return JSON.stringify(body ?? null).includes(text);
}
