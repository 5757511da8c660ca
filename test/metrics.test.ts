import { readFileSync } from 'node:fs';
import t from 'tap';
import { parse } from 'yaml';
import { z } from 'zod';
import { startService, until } from './service.ts';
import type { AlertName } from '../src/alerts/causes.ts';

const operations = readFileSync('docs/operations.md', 'utf8');
const dashboardText = readFileSync('docs/grafana-dashboard.json', 'utf8');
const rulesText = readFileSync('docs/alert-rules.yaml', 'utf8');

const Dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.int().min(39),
  templating: z.object({ list: z.array(z.looseObject({ name: z.string(), type: z.string() })) }),
  panels: z.array(
    z.object({
      id: z.int(),
      type: z.enum(['row', 'stat', 'timeseries']),
      title: z.string().min(1),
      gridPos: z.object({ x: z.int(), y: z.int(), w: z.int().max(24), h: z.int() }),
      datasource: z.object({ type: z.literal('prometheus'), uid: z.literal('${datasource}') }).optional(),
      targets: z.array(z.object({ expr: z.string().min(1), refId: z.string() })).optional(),
    }),
  ),
});

const Rules = z.object({
  groups: z.array(
    z.object({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^SignalIntercom[A-Z]/),
          expr: z.string(),
          for: z
            .string()
            .regex(/^\d+m$/)
            .optional(),
          labels: z.object({ severity: z.enum(['critical', 'warning', 'info']) }),
          annotations: z.object({ summary: z.string(), description: z.string(), runbook: z.string() }),
        }),
      ),
    }),
  ),
});

const dashboard = Dashboard.parse(JSON.parse(dashboardText));
const rules = Rules.parse(parse(rulesText)).groups.flatMap((group) => group.rules);

type Metric = { type: string; labels: string[] };

/** By name: the rows of the table in the documentation. */
function documented(): Map<string, Metric> {
  const rows = operations.matchAll(/^\| `((?:signal_intercom|process)_\w+)` \| (\w+) \|([^|]*)\|/gm);
  return new Map(
    [...rows].map(([, name, type, labels]) => [
      name!,
      { type: type!, labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!) },
    ]),
  );
}

/** By name: what a scrape shows, with the labels that its samples have. */
function scraped(text: string): Map<string, Metric> {
  const types = [...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)];
  return new Map(
    types.map(([, name, type]) => {
      const samples = text.matchAll(new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{([^}]*)\\}`, 'gm'));
      const labels = [...samples].flatMap(([, list]) => [...list!.matchAll(/(\w+)="/g)].map(([, label]) => label!));
      return [name!, { type: type!, labels: [...new Set(labels)].filter((label) => label !== 'le').sort() }];
    }),
  );
}

/** The metrics in a PromQL expression, a histogram by its own name. */
function metricsOf(expr: string): string[] {
  return [...expr.matchAll(/\b(?:signal_intercom|process)_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''));
}

async function scrapeAfterEverything(): Promise<string> {
  const { post, simulator, get } = await startService(t, { env: { ALERT_BACKLOG_MINUTES: '1' } });
  const identity = { userId: 'u', context: { consent: { functional: true } } };
  await post({ type: 'identify', ...identity, traits: { email: 'u@example.com' } });
  await post({ type: 'track', event: 'Refused', ...identity, context: { consent: { functional: false } } });
  await post({ type: 'track', event: 'Rejected' });
  simulator.inject({ kind: 'status', status: 400, endpoint: 'POST /events' });
  await post({ type: 'track', event: 'Dead', ...identity });
  await until('the alert for the dead letter fires', async () =>
    (await get('/metrics')).text.includes('signal_intercom_alert_firing{'),
  );
  return (await get('/metrics')).text;
}

t.test('each metric is documented with its type and labels, and each documented one is there', async (t) => {
  const text = await scrapeAfterEverything();
  const there = scraped(text);
  const told = documented();
  t.same([...told.keys()].sort(), [...there.keys()].sort());
  for (const [name, { type, labels }] of there) {
    t.equal(told.get(name)?.type, type, name);
    t.same([...(told.get(name)?.labels ?? [])].sort(), labels, name);
    if (type === 'counter') t.match(name, /_total$/);
    else t.notMatch(name, /_total$/);
  }
  const value = (sample: string) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${sample} `))
        ?.split(' ')[1],
    );
  const states = ['delivered', 'filtered', 'dead', 'queued'];
  t.same(
    states.map((state) => value(`signal_intercom_ledger_events{state="${state}"}`)),
    [1, 1, 1, 0],
  );
  t.equal(value('signal_intercom_accepted_events_total'), 3, 'the ledger balances');
  t.equal(
    value('signal_intercom_settled_events_total{installation="default",status="dead",reason="invalid_request"}'),
    1,
  );
});

t.test('the dashboard and the rules ask for metrics and labels that are there', async (t) => {
  const told = documented();
  const exprs = [
    ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ where: title, expr }))),
    ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
  ];
  t.ok(exprs.length > 30);
  for (const { where, expr } of exprs) {
    const names = metricsOf(expr);
    t.not(names.length, 0, where);
    for (const name of names) t.ok(told.has(name), `${where}: ${name}`);
    const known = new Set(['le', 'instance', 'job', ...names.flatMap((name) => told.get(name)?.labels ?? [])]);
    const asked = [
      ...[...expr.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label]) => label!),
      ...[...expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/)),
    ].filter((label) => label !== '');
    for (const label of asked) t.ok(known.has(label), `${where}: ${label}`);
    t.equal(expr.split('(').length, expr.split(')').length, `${where}: its brackets are closed`);
  }
  for (const name of told.keys())
    if (!name.startsWith('process_start')) t.ok(dashboardText.includes(name) || rulesText.includes(name), name);
});

t.test('the dashboard takes its data source as a variable, and no panel covers another', async (t) => {
  t.match(dashboard.templating.list[0], { name: 'datasource', type: 'datasource', query: 'prometheus' });
  const cells: string[] = [];
  for (const { title, type, targets, datasource, gridPos } of dashboard.panels) {
    if (type !== 'row') t.ok(datasource && targets && targets.length > 0, title);
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x += 1)
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y += 1) cells.push(`${x},${y}`);
  }
  t.equal(new Set(cells).size, cells.length);
  const ids = dashboard.panels.map(({ id }) => id);
  t.equal(new Set(ids).size, ids.length);
});

const runbook = operations.slice(operations.indexOf('## Runbook'));
const anchors = [...runbook.matchAll(/^### (.+)$/gm)].map(([, title]) =>
  title!
    .toLowerCase()
    .replace(/[^\w\s-]/g, '')
    .replaceAll(' ', '-'),
);

t.test('each rule has its section in the runbook, and each section its rule', async (t) => {
  t.same(
    rules.map(({ annotations }) => annotations.runbook).sort(),
    anchors.map((anchor) => `docs/operations.md#${anchor}`).sort(),
  );
});

t.test("each of the service's own alerts leads to its section in the runbook", async (t) => {
  const sections: Record<AlertName, string> = {
    hold: 'delivery-is-on-hold',
    dead_letters: 'dead-letters-rise',
    backlog: 'the-backlog-is-old',
    silence: 'no-events-arrive',
    store: 'events-cant-be-stored',
  };
  for (const [name, section] of Object.entries(sections)) {
    t.match(operations, new RegExp(`^\\| \`${name}\` \\|.*\\(#${section}\\) \\|$`, 'm'));
    t.ok(anchors.includes(section), section);
  }
});
