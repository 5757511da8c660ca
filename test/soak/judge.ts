import type { Simulator } from '../../src/simulator/simulator.ts';
import { totalOf } from '../crash/people.ts';
import type { Person } from './senders.ts';

export type Sample = {
  atMs: number;
  memoryMb: number;
  descriptors: number;
  /** In use of the database. */
  dataMb: number;
  /** All of its files, the log of the last transactions included. */
  filesMb: number;
  accepted: number;
  queued: number;
};

export type Flatness = { what: string; unit: string; before: number; after: number; limit: number };

/**
 * Of the first third of the time and of the last one, the medians. Node's heap breathes by 100 MB, and the
 * log of a new database fills up once. Of each event a print of its messageId is kept for a week.
 */
export function judgeFlatness(samples: Sample[]): Flatness[] {
  const [from, to] = [samples[0]?.atMs ?? 0, samples.at(-1)?.atMs ?? 0];
  const third = (number: number): Sample[] =>
    samples.filter(({ atMs }) => Math.min(2, Math.floor((3 * (atMs - from)) / (to - from))) === number);
  const medians = (read: (sample: Sample) => number) => ({
    before: median(third(0).map(read)),
    after: median(third(2).map(read)),
  });
  const memory = medians(({ memoryMb }) => memoryMb);
  const descriptors = medians((sample) => sample.descriptors);
  const data = medians(({ dataMb }) => dataMb);
  const files = medians(({ filesMb }) => filesMb);
  const accepted = medians((sample) => sample.accepted);
  const queue = medians(({ queued }) => queued);
  const printsMb = ((accepted.after - accepted.before) * printBytes) / 1e6;
  return [
    // A queue that grows would be more load than goes out, and what follows would say nothing.
    { what: 'queue', unit: 'events', ...queue, limit: queue.before * 1.5 + 300 },
    { what: 'memory', unit: 'MB', ...memory, limit: memory.before * 1.15 + breathMb },
    { what: 'descriptors', unit: '', ...descriptors, limit: descriptors.before + 20 },
    { what: 'data', unit: 'MB', ...data, limit: data.before * 1.1 + 0.5 + printsMb },
    { what: 'database files', unit: 'MB', ...files, limit: files.before * 1.1 + logMb + printsMb },
  ];
}

const printBytes = 100;
const logMb = 5;
const breathMb = 100;

export const isFlat = ({ after, limit }: Flatness): boolean => after <= limit;

function median(values: number[]): number {
  if (values.length === 0) throw new Error('there is no sample in a third of the time');
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

/** What must hold of what was sent, and does not; a line each. */
export function judgeDelivery(evidence: {
  people: Person[];
  simulator: Pick<Simulator, 'timeline' | 'contact' | 'companies' | 'summary'>;
  /** `messageId`s of events that Intercom refused; where a kill came before the answer was read, they were sent again. */
  refused: ReadonlySet<string>;
  accepted: number;
  ledger: string;
}): string[] {
  const { people, simulator, refused, accepted, ledger } = evidence;
  const objections: string[] = [];
  let missing = 0;
  const companies = new Map(simulator.companies().map(({ company_id: id, contactIds }) => [id, new Set(contactIds)]));
  for (const { id, acknowledged, score, companies: joined } of people) {
    const arrived = simulator.timeline(id).map(({ metadata }) => Number(metadata.n));
    const isThere = new Set(arrived);
    const absent = acknowledged.filter((n) => !isThere.has(n));
    missing += absent.length;
    const lost = absent.filter((n) => !refused.has(`${id}-${n}`));
    if (lost.length > 0) objections.push(`${id}: lost ${lost.join(', ')}`);
    if (isThere.size < arrived.length) objections.push(`${id}: something is doubled`);
    if (arrived.some((n, index) => index > 0 && n < arrived[index - 1]!)) objections.push(`${id}: out of order`);
    const contact = simulator.contact(id);
    if (score >= 0 && contact?.custom_attributes.score !== score)
      objections.push(
        `${id}: the score is ${String(contact?.custom_attributes.score)}, and the last word was ${score}`,
      );
    for (const company of joined)
      if (!companies.get(company)?.has(contact?.id ?? '')) objections.push(`${id}: is not of ${company}`);
  }
  const read = (state: string): number => totalOf(ledger, state);
  if (read('accepted') !== accepted) objections.push(`the ledger has ${read('accepted')} accepted of ${accepted}`);
  if (read('dead') !== missing) objections.push(`${read('dead')} dead letters, and ${missing} events did not arrive`);
  if (read('delivered') + read('filtered') + read('dead') + read('queued') !== read('accepted'))
    objections.push('the ledger does not balance');
  return objections;
}
