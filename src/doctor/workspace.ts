import { writableNames } from '../intercom/attributes.ts';
import { createIntercomClient, type IntercomClient } from '../intercom/client.ts';
import { judge, type Verdict } from '../intercom/outcome.ts';
import { checkInstallation, type Preflight } from '../intercom/preflight.ts';
import type { RateAnswer, RateLimiter } from '../intercom/rate-limiter.ts';
import { type Check, fail, ok, skipped, warn } from './check.ts';

export const workspaceChecks = [
  'token',
  'region',
  'api version',
  'permissions',
  'attributes',
  'quota',
  'clock',
] as const;

export type WorkspaceOptions = {
  intercom: { accessToken: string; region: string | null; apiUrl: string };
  version: string;
  share: number;
  leftOut: { model: 'contact' | 'company'; name: string }[];
  /** Where else a token that is refused may be known. */
  hosts: { region: string; url: string }[];
};

type Ask = (method: 'GET' | 'POST', path: string, body?: unknown) => Promise<Verdict>;

const madeForVersion = '2.11';
const timeoutMs = 10_000;
const patience = { stop: new AbortController().signal, abort: new AbortController().signal };
/** Nobody has this id. */
const nobody = 'signal-intercom-doctor';
const fewCalls = 50;
const clockToleranceMs = 5000;
/** A signed webhook that is older is refused. */
const signatureToleranceMs = 300_000;

/** The token and what it may do, by calls that read. */
export async function checkWorkspace(options: WorkspaceOptions): Promise<Check[]> {
  const { intercom, version } = options;
  const { limiter, heard } = listen();
  const client = open(intercom.apiUrl, options, limiter);
  try {
    const me = await checkInstallation(client, intercom.region, patience);
    const clock = checkClock(heard.at(-1));
    const isKnown = me.ok || me.reason === 'wrong_region';
    if (!isKnown) {
      const name = me.reason === 'version_invalid' ? 'api version' : 'token';
      const rest = workspaceChecks.filter((one) => one !== name && one !== 'clock');
      return [await explainRefusal(name, me, options), ...skipped(rest, `mend the ${name} first`), clock];
    }
    const ask: Ask = async (method, path, body) => judge(await client.call({ method, path, body, patience }));
    const attributes = {
      contact: await ask('GET', '/data_attributes?model=contact'),
      company: await ask('GET', '/data_attributes?model=company'),
    };
    return [
      ok('token', me.ok ? `accepted by the workspace ${me.workspace.name}` : 'accepted'),
      checkRegion(me, intercom.region),
      checkVersion(version),
      await checkPermissions(ask, attributes),
      checkAttributes(options.leftOut, attributes),
      checkQuota(heard, options.share),
      clock,
    ];
  } finally {
    await client.close();
  }
}

function open(baseUrl: string, { intercom, version }: WorkspaceOptions, limiter: RateLimiter): IntercomClient {
  const { accessToken } = intercom;
  return createIntercomClient({
    target: () => ({ baseUrl, accessToken }),
    version,
    connections: 1,
    limiter,
    timeoutMs,
  });
}

/** Lets every call through (a dozen are no burden), and keeps what the answers say of the quota and the time. */
function listen(): { limiter: RateLimiter; heard: (RateAnswer & { atMs: number })[] } {
  const heard: (RateAnswer & { atMs: number })[] = [];
  const limiter: RateLimiter = {
    take: () => Promise.resolve(),
    learn: (answer) => void heard.push({ ...answer, atMs: Date.now() }),
    giveBack: () => {},
    state: () => ({ limit: null, used: 0, waiting: 0, windowEndsAtMs: 0 }),
  };
  return { limiter, heard };
}

/** A token is known in its own region alone, and the answer elsewhere does not say which that is. */
async function explainRefusal(
  name: string,
  { reason, message, remedy }: Preflight & { ok: false },
  options: WorkspaceOptions,
): Promise<Check> {
  if (reason !== 'token_invalid') return fail(name, message, remedy);
  for (const { region, url } of options.hosts) {
    if (url === options.intercom.apiUrl) continue;
    const client = open(url, options, listen().limiter);
    const me = await checkInstallation(client, null, patience);
    await client.close();
    if (me.ok) return fail(name, `the workspace of this token is hosted in ${region}`, `set INTERCOM_REGION=${region}`);
  }
  return fail(name, message, remedy);
}

function checkRegion(me: Preflight, configured: string | null): Check {
  if (!me.ok) return fail('region', me.message, me.remedy);
  const { region } = me.workspace;
  if (configured === null) return ok('region', `the workspace says ${region ?? 'nothing'}; INTERCOM_REGION is not set`);
  return ok(
    'region',
    region === null ? 'the workspace does not tell its region' : `${region}, as INTERCOM_REGION says`,
  );
}

function checkVersion(version: string): Check {
  if (version === madeForVersion) return ok('api version', version);
  const remedy = `leave INTERCOM_VERSION out, unless you know why: this service is made for ${madeForVersion}`;
  return warn('api version', `${version} is accepted by Intercom`, remedy);
}

/** What may be written shows with the first event alone. */
async function checkPermissions(ask: Ask, attributes: Record<'contact' | 'company', Verdict>): Promise<Check> {
  const byId = { query: { field: 'external_id', operator: '=', value: nobody } };
  const probes: [string, Verdict][] = [
    ['read people attributes', attributes.contact],
    ['read company attributes', attributes.company],
    ['search contacts', await ask('POST', '/contacts/search', byId)],
    ['read companies', await ask('GET', '/companies?per_page=1')],
    ['read events', await ask('GET', `/events?type=user&user_id=${nobody}`)],
  ];
  const refused = probes.filter(([, { kind }]) => kind !== 'done' && kind !== 'missing');
  if (refused.length === 0) return ok('permissions', 'the token may read contacts, companies, events and attributes');
  const told = refused.map(([name, verdict]) => `${name} (${'reason' in verdict ? verdict.reason : verdict.kind})`);
  if (refused.some(([, { kind }]) => kind === 'hold')) {
    const remedy =
      'give the app in the Developer Hub permission to read and write users, companies and events, and copy its new token';
    return fail('permissions', `the token may not: ${told.join(', ')}`, remedy);
  }
  return warn('permissions', `no clear answer to: ${told.join(', ')}`, 'run the doctor again; see status.intercom.com');
}

function checkAttributes(
  leftOut: WorkspaceOptions['leftOut'],
  verdicts: Record<'contact' | 'company', Verdict>,
): Check {
  const names = {
    contact: verdicts.contact.kind === 'done' ? writableNames(verdicts.contact.body) : undefined,
    company: verdicts.company.kind === 'done' ? writableNames(verdicts.company.body) : undefined,
  };
  const missing = leftOut.filter(({ model, name }) => names[model]?.has(name) === false);
  if (missing.length === 0) return ok('attributes', 'none was missing in the workspace of late');
  const told = missing.map(({ model, name }) => `${name} (${model === 'contact' ? 'people' : 'company'})`).join(', ');
  return warn(
    'attributes',
    `the workspace lacks ${told}: these traits are left out`,
    'create them in Intercom under Settings > Data, set CREATE_ATTRIBUTES=true, or leave it so if nobody needs them there',
  );
}

function checkQuota(heard: RateAnswer[], share: number): Check {
  const last = heard.findLast(({ limit }) => limit !== undefined);
  if (last?.limit === undefined) return ok('quota', 'Intercom names no limit');
  const { limit, remaining = limit } = last;
  const told = `${limit} calls per 10 seconds, ${remaining} left in this window${share < 1 ? `, of which INTERCOM_QUOTA_SHARE=${share} may be used` : ''}`;
  if (limit * share < fewCalls || remaining < limit / 10) {
    const remedy = 'events will go out slowly: see which other apps use the quota, or ask Intercom for more';
    return warn('quota', told, remedy);
  }
  return ok('quota', told);
}

/** The answer's time is in whole seconds, and was written half a round trip ago, about. */
function checkClock(answer: (RateAnswer & { atMs: number }) | undefined): Check {
  if (answer?.dateMs === undefined) return { name: 'clock', status: 'skipped', message: 'no answer tells the time' };
  const aheadMs = answer.atMs - answer.tookMs / 2 - (answer.dateMs + 500);
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  const told = `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} Intercom's`;
  const remedy = 'synchronise the clock of this machine (chrony, systemd-timesyncd, or that of its host)';
  if (Math.abs(aheadMs) > signatureToleranceMs)
    return fail('clock', `${told}: signed webhooks are refused, and events get wrong times`, remedy);
  if (Math.abs(aheadMs) > clockToleranceMs) return warn('clock', told, remedy);
  return ok('clock', `within a second or two of Intercom's`);
}
