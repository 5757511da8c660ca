import { parseEvent, type SignalEvent } from '../ingest/event.ts';
import type { Desk, WorkJob } from './destination.ts';
import type { Erasure } from './erasure.ts';
import { type Mapped, mapEvent, type MappingOptions, type Warning } from './mapping.ts';
import type { Outcome } from './outcome.ts';

/** What one step is to bring to Intercom; several jobs where identifies in a row were merged. */
export type Task = { jobs: WorkJob[]; events: SignalEvent[]; type: string; mapped: Mapped | Erased };
type Erased = { kind: 'erasure'; erasure: Erasure; warnings: Warning[] };
/** Jobs that end without anything being sent. */
export type Settled = { jobs: WorkJob[]; type: string; outcome: Outcome; warnings?: Warning[]; error?: string };

/** The jobs as steps: identifies in a row become one, of which the later value wins. */
export function* planTasks(jobs: WorkJob[], mapping: MappingOptions, desk: Desk): Generator<Task | Settled> {
  let identifies: Task | undefined;
  for (const next of identifyFirst(jobs.map((job) => taskOf(job, mapping, desk)))) {
    if (isIdentify(next)) {
      identifies = identifies ? merge(identifies, next) : next;
      continue;
    }
    if (identifies) yield identifies;
    identifies = undefined;
    yield next;
  }
  if (identifies) yield identifies;
}

/**
 * What a visitor did before the login comes to the timeline after it: the identify that follows the held events makes
 * the contact that they need.
 */
function identifyFirst(list: (Task | Settled)[]): (Task | Settled)[] {
  const firstOwn = list.findIndex((task) => !task.jobs.every(({ wasHeld }) => wasHeld));
  const login = list[firstOwn];
  if (firstOwn <= 0 || !login || !isIdentify(login)) return list;
  return [login, ...list.slice(0, firstOwn), ...list.slice(firstOwn + 1)];
}

/** The one task of a person that is to be erased. */
export function erasureTask(jobs: WorkJob[], erasure: Erasure): Task {
  return { jobs, events: [], type: 'erasure', mapped: { kind: 'erasure', erasure, warnings: [] } };
}

function isIdentify(task: Task | Settled): task is Task {
  return !('outcome' in task) && task.mapped.kind === 'contact';
}

function taskOf(job: WorkJob, mapping: MappingOptions, desk: Desk): Task | Settled {
  try {
    const parsed = parseEvent(JSON.parse(job.payload));
    if (!parsed.ok)
      return { jobs: [job], type: 'unknown', outcome: { kind: 'rejected', reason: 'invalid_request', status: null } };
    const { event } = parsed;
    if (!desk.mayStillSend(event, job))
      return { jobs: [job], type: event.type, outcome: { kind: 'filtered', reason: 'consent_revoked' } };
    const mapped = mapEvent(event, mapping);
    if (mapped.kind === 'dropped') {
      const { warnings } = mapped;
      return { jobs: [job], type: event.type, outcome: { kind: 'filtered', reason: 'mapping_dropped' }, warnings };
    }
    return { jobs: [job], events: [event], type: event.type, mapped };
  } catch (error) {
    return bug({ jobs: [job], type: 'unknown' }, error);
  }
}

function merge(a: Task, b: Task): Task {
  if (a.mapped.kind !== 'contact' || b.mapped.kind !== 'contact') throw new Error('only identifies are merged');
  return {
    jobs: [...a.jobs, ...b.jobs],
    events: [...a.events, ...b.events],
    type: b.type,
    mapped: {
      kind: 'contact',
      contact: { ...a.mapped.contact, ...b.mapped.contact },
      customAttributes: { ...a.mapped.customAttributes, ...b.mapped.customAttributes },
      warnings: [...a.mapped.warnings, ...b.mapped.warnings],
    },
  };
}

/** An unknown exception is a bug of ours: dead at once and explained, never tried again blindly. */
export function bug({ jobs, type }: { jobs: WorkJob[]; type: string }, error: unknown): Settled {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { jobs, type, outcome: { kind: 'rejected', reason: 'bug', status: null }, error: text };
}
