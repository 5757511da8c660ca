import { globSync, readFileSync } from 'node:fs';
import t from 'tap';
import { parse, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { readConfig } from '../src/config.ts';
import { variableNames } from '../src/config/environment.ts';

const Labels = z.record(z.string(), z.string());
const Env = z.array(z.object({ name: z.string(), value: z.string() })).default([]);
const Workload = z.object({
  metadata: z.object({ name: z.string() }),
  spec: z.object({
    replicas: z.number(),
    selector: z.object({ matchLabels: Labels }),
    template: z.object({
      metadata: z.object({ labels: Labels }),
      spec: z.object({
        terminationGracePeriodSeconds: z.number(),
        securityContext: z.looseObject({}),
        topologySpreadConstraints: z.array(z.object({ labelSelector: z.object({ matchLabels: Labels }) })),
        containers: z.array(
          z.looseObject({
            env: Env,
            securityContext: z.looseObject({}),
            lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }),
            readinessProbe: z.object({ httpGet: z.object({ path: z.string() }) }),
          }),
        ),
      }),
    }),
  }),
});
type Workload = z.infer<typeof Workload>;

const Kind = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});
type Kind = z.infer<typeof Kind>;

const files = globSync('deploy/kubernetes/**/*.yaml').sort();
const documents = files.flatMap((file) =>
  parseAllDocuments(readFileSync(file, 'utf8')).map((document) => ({ file, content: Kind.parse(document.toJS()) })),
);
const ofKind = (kind: string): Kind[] => documents.flatMap(({ content }) => (content.kind === kind ? content : []));
const workloads = ofKind('Deployment').map((content) => Workload.parse(content));

/** Lets a validator read, and tells which keys it never asked for: the schemas let unknown ones pass. */
function watched<T extends object>(value: T): { value: T; unread(): string[] } {
  const read = new Set<string>();
  function watch(target: object, path: string): object {
    return new Proxy(target, {
      get(from, key, receiver) {
        const child: unknown = Reflect.get(from, key, receiver);
        if (typeof key !== 'string') return child;
        read.add(`${path}/${key}`);
        return typeof child === 'object' && child !== null ? watch(child, `${path}/${key}`) : child;
      },
    });
  }
  function walk(target: object, path: string): string[] {
    return Object.entries(target).flatMap(([key, child]) => [
      ...(read.has(`${path}/${key}`) ? [] : [`${path}/${key}`]),
      ...(typeof child === 'object' && child !== null ? walk(child, `${path}/${key}`) : []),
    ]);
  }
  return { value: watch(value, '') as T, unread: () => walk(value, '') };
}

async function problemsOf(content: Kind): Promise<string[]> {
  const { validate } = await import(`kubernetes-models/_schemas/${schemaOf(content)}`);
  const { value, unread } = watched(content);
  if (!validate(value)) return [JSON.stringify(validate.errors)];
  return unread().map((path) => `${path} is no field of a ${content.kind}`);
}

/** `apps/v1` Deployment is `io.k8s.api.apps.v1.Deployment`, as the package writes it. */
function schemaOf({ apiVersion, kind }: Kind): string {
  const [version, group = 'core'] = apiVersion.split('/').toReversed();
  const capital = (text = ''): string => text.slice(0, 1).toUpperCase() + text.slice(1);
  return `IoK8sApi${capital(group.split('.')[0])}${capital(version)}${kind}`;
}

t.test("every manifest is valid by Kubernetes' own schemas", async (t) => {
  t.ok(documents.length >= 12);
  for (const { file, content } of documents) t.same(await problemsOf(content), [], `${file}: ${content.kind}`);
});

t.test('a misspelt field and a wrong type are noticed', async (t) => {
  const [first] = ofKind('Deployment');
  const text = JSON.stringify(first);
  const change = (from: string, to: string) => problemsOf(Kind.parse(JSON.parse(text.replace(from, to))));
  t.match(await change('"readinessProbe"', '"readynessProbe"'), [/readynessProbe is no field/]);
  t.match(await change('"periodSeconds":10', '"periodSeconds":"ten"'), [/periodSeconds.*integer/]);
});

t.test('manifests and the compose file name settings that exist, and the service takes them', async (t) => {
  const settings: Record<string, string> = {};
  for (const content of [...ofKind('Secret'), ...ofKind('ConfigMap')])
    Object.assign(settings, Labels.parse(content.stringData ?? content.data));
  settings.ENCRYPTION_KEY = Buffer.alloc(32).toString('base64');
  settings.ADMIN_TOKEN = settings.INTERCOM_ACCESS_TOKEN = 'x'.repeat(24);
  for (const { metadata, spec } of workloads) {
    const own = Object.fromEntries(spec.template.spec.containers[0]!.env.map(({ name, value }) => [name, value]));
    const { database } = readConfig({ ...settings, ...own });
    t.equal(database.kind, 'postgres', metadata.name);
    for (const name of Object.keys({ ...settings, ...own })) t.ok(variableNames.includes(name), name);
  }
  const Compose = z.object({ services: z.record(z.string(), z.looseObject({ environment: Labels.optional() })) });
  const { services } = Compose.parse(parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true }));
  for (const name of ['signal-intercom', 'replica-1', 'replica-2', 'replica-3']) {
    const given = Object.entries(services[name]?.environment ?? {});
    for (const [variable] of given) t.ok(variableNames.includes(variable), `${name}: ${variable}`);
    // As `docker compose` has it where none of the variables is set.
    const values = given.map(([variable, value]) => [variable, value.replace(/\$\{\w+(?::?-([^}]*))?\}/g, '$1')]);
    t.match(readConfig(Object.fromEntries(values)), {
      database: { kind: name === 'signal-intercom' ? 'sqlite' : 'postgres' },
    });
  }
});

t.test('pods are found by what selects them, spread out, and locked down', async (t) => {
  for (const { metadata, spec } of workloads) {
    const { name } = metadata;
    const { labels } = spec.template.metadata;
    const pod = spec.template.spec;
    t.match(labels, spec.selector.matchLabels, name);
    for (const { labelSelector } of pod.topologySpreadConstraints) t.same(labelSelector.matchLabels, labels, name);
    t.match(pod.securityContext, { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } }, name);
    const [container] = pod.containers;
    t.match(container!.securityContext, {
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
    t.equal(container!.readinessProbe.httpGet.path, '/readyz?only=store', name);
    const closing = 13 + container!.lifecycle.preStop.sleep.seconds;
    t.ok(pod.terminationGracePeriodSeconds > closing, `${name} may end in its own time`);
  }
  const names = workloads.map(({ metadata }) => metadata.name);
  const Target = z.object({ spec: z.object({ scaleTargetRef: z.object({ name: z.string() }) }) });
  for (const scaler of ofKind('HorizontalPodAutoscaler'))
    t.ok(names.includes(Target.parse(scaler).spec.scaleTargetRef.name));
  const Selecting = z.object({ spec: z.object({ selector: z.union([z.object({ matchLabels: Labels }), Labels]) }) });
  for (const content of [...ofKind('Service'), ...ofKind('PodDisruptionBudget')]) {
    const { selector } = Selecting.parse(content).spec;
    const wanted = typeof selector.matchLabels === 'object' ? selector.matchLabels : selector;
    const found = workloads.filter(({ spec }) =>
      Object.entries(wanted).every(([key, value]) => spec.template.metadata.labels[key] === value),
    );
    t.equal(found.length, 1, `${content.kind} ${content.metadata.name} selects one deployment`);
  }
});

t.test('taken apart, the parts together play every role', async (t) => {
  const apart = workloads.flatMap(({ spec }) => spec.template.spec.containers[0]!.env.map(({ value }) => value));
  t.same(apart.toSorted(), ['console', 'dispatch', 'ingest']);
});
