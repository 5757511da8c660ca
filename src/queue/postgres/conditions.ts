import type { EventFilter } from '../queue.ts';
import { storable } from './storable.ts';

/** The values of a statement, by their places in it. */
export type Params = { values: unknown[]; at(value: string | number | string[]): string };

export function createParams(): Params {
  const values: unknown[] = [];
  return { values, at: (value) => `$${values.push(value)}` };
}

/** Went to one of these people, or carries a key of theirs. */
export const ofPeople = (keys: string): string => `(coalesce(settled.person, job.person) = ANY(${keys})
  OR CASE WHEN event.user_id IS NOT NULL THEN event.installation || '/user:' || event.user_id
          WHEN event.email IS NOT NULL THEN event.installation || '/email:' || event.email END = ANY(${keys}))`;

/** `AND …` for each thing that is wanted of an event. */
export function conditions(filter: EventFilter, { at }: Params): string {
  const tests: [condition: (value: string) => string, value: string | number | undefined][] = [
    [(value) => `event.installation = ${value}`, filter.installation],
    [(value) => `event.type = ${value}`, filter.type],
    [(value) => `event.name = ${value}`, filter.name],
    [(value) => `event.user_id = ${value}`, filter.userId],
    [(value) => `event.email = ${value}`, filter.email],
    [(value) => `event.message_id = ${value}`, filter.messageId],
    [(value) => `settled.reason = ${value}`, filter.reason],
    [(value) => `event.received_at >= ${value}`, filter.receivedFromMs],
    [(value) => `event.received_at < ${value}`, filter.receivedToMs],
    [(value) => `strpos(event.payload, ${value}) > 0`, filter.text],
  ];
  const used = tests.flatMap(([condition, value]) => {
    if (value === undefined) return [];
    return [condition(at(typeof value === 'string' ? storable(value) : value))];
  });
  // The status is written out, since the index of the dead ones is used only for a condition that is known beforehand.
  if (filter.status === 'queued') used.push('settled.seq IS NULL');
  else if (filter.status !== undefined) used.push(`settled.status = '${filter.status}'`);
  if (filter.people) {
    const people = filter.people.map((key) => storable(`${filter.installation}/${key}`));
    used.push(ofPeople(`${at(people)}::text[]`));
  }
  return used.map((condition) => `AND ${condition}`).join(' ');
}

/**
 * Events with what became of them, within these bounds. They are told of each table, for the planner infers none: it
 * may read a table from its beginning to join it.
 */
export function eventsBetween(from: string, below: string): string {
  const within = (table: string): string => `${table}.seq >= ${from} AND ${table}.seq < ${below}`;
  return `event LEFT JOIN settled ON settled.seq = event.seq AND ${within('settled')}
    LEFT JOIN job ON job.seq = event.seq AND ${within('job')} WHERE ${within('event')}`;
}

/** The same of dead letters alone, by their index. */
export function deadBetween(from: string, below: string): string {
  const within = (table: string): string => `${table}.seq >= ${from} AND ${table}.seq < ${below}`;
  return `settled JOIN event ON event.seq = settled.seq AND ${within('event')}
    LEFT JOIN job ON job.seq = event.seq AND ${within('job')} WHERE settled.status = 'dead' AND ${within('settled')}`;
}
