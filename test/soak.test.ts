import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { isFlat, judgeDelivery } from './soak/judge.ts';
import { report } from './soak/report.ts';
import { soak } from './soak/run.ts';

t.jobs = 2;
const seed = Number(process.env.SOAK_SEED ?? Date.now() % 1_000_000);

t.test(
  'a minute of steady load, faults and restarts: nothing is lost, doubled or out of order, and nothing grows',
  async (t) => {
    t.comment(`SOAK_SEED=${seed}`);
    const outcome = await soak({ minutes: 1.1, seed, eventsPerSecond: 40 });
    for (const line of report(outcome)) t.comment(line);
    t.strictSame(outcome.objections, []);
    for (const flatness of outcome.flatness) t.ok(isFlat(flatness), JSON.stringify(flatness));
    const { totals, restarts, faults, evidence } = outcome;
    t.ok(restarts.killed >= 3 && restarts.stopped >= 3, 'control: it was killed and stopped');
    t.ok(faults > 15 && evidence.simulator.summary().calls > 500, 'control: Intercom was called, and failed');
    for (const [what, count] of Object.entries(totals)) t.ok(count > 0, `control: ${what}`);

    t.test('the judge finds what is lost, doubled, out of order, or not accounted for', async (t) => {
      const { simulator, people } = evidence;
      const [person] = people.filter(({ acknowledged }) => acknowledged.length > 2);
      const told = (changed: Partial<typeof evidence>): string => judgeDelivery({ ...evidence, ...changed }).join('\n');
      const timelineOf = (change: (events: ReturnType<typeof simulator.timeline>) => typeof events) => ({
        simulator: {
          ...simulator,
          timeline: (id: string) => (id === person!.id ? change(simulator.timeline(id)) : simulator.timeline(id)),
        },
      });
      t.match(told(timelineOf((events) => events.slice(1))), `${person!.id}: lost`);
      t.match(told(timelineOf((events) => [...events, events.at(-1)!])), `${person!.id}: something is doubled`);
      t.match(told(timelineOf((events) => events.toReversed())), `${person!.id}: out of order`);
      t.match(told({ people: [...people, { ...person!, score: 1e9 }] }), 'the last word was 1000000000');
      t.match(told({ people: [...people, { ...person!, companies: new Set(['nowhere']) }] }), 'is not of nowhere');
      t.match(told({ accepted: evidence.accepted + 1 }), 'the ledger has');
      t.match(told({ ledger: evidence.ledger.replace(/(state="dead"\} )\d+/, '$1999') }), '999 dead letters');
    });
  },
);

t.test('a service that keeps memory, descriptors and events is found out', async (t) => {
  const leak = pathToFileURL(join(import.meta.dirname, 'soak/leak.ts')).href;
  const env = { NODE_OPTIONS: `--import ${leak}`, RETENTION_DAYS: '1' };
  const { flatness } = await soak({ minutes: 0.5, seed, eventsPerSecond: 100, env });
  t.strictSame(
    flatness
      .filter((one) => !isFlat(one))
      .map(({ what }) => what)
      .filter((what) => what !== 'database files' && what !== 'queue'),
    ['memory', 'descriptors', 'data'],
    JSON.stringify(flatness),
  );
});
