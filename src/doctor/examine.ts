import Fastify from 'fastify';
import { type Config, loadConfig } from '../config.ts';
import { ConfigError, variableNames } from '../config/environment.ts';
import { apiUrlOf, regionUrls } from '../config/regions.ts';
import { type Check, fail, ok, skipped, warn } from './check.ts';
import { type DatabaseFindings, lookIntoDatabase } from './database.ts';
import { checkDisk } from './disk.ts';
import { checkAdminToken, checkSenders } from './doors.ts';
import { checkNetwork } from './network.ts';
import { lookIntoPostgres } from './postgres.ts';
import { checkWorkspace, workspaceChecks } from './workspace.ts';

/** Everything that a service with these settings needs. Takes no lock and writes nothing that stays. */
export async function examine(): Promise<Check[]> {
  const node = ok('node', process.version);
  const settings = await readSettings();
  if ('problems' in settings) {
    const unread = ['disk', 'database', 'senders', 'admin token', 'network', ...workspaceChecks];
    return [
      node,
      ...settings.problems.map((problem) => fail('settings', problem, 'correct this variable')),
      ...skipped(unread, 'mend the settings first'),
    ];
  }
  const { config } = settings;
  const database = await lookInto(config);
  return [
    node,
    ...checkNames(),
    ...database.checks,
    checkSenders(config),
    checkAdminToken(config),
    ...(await checkIntercom(config, database)),
  ];
}

async function lookInto({ database }: Config): Promise<DatabaseFindings> {
  if (database.kind === 'postgres') return lookIntoPostgres(database);
  const disk = await checkDisk(database.path);
  const findings = lookIntoDatabase(database.path);
  return { ...findings, checks: [disk, ...findings.checks] };
}

async function readSettings(): Promise<{ config: Config } | { problems: string[] }> {
  const loader = Fastify();
  try {
    return { config: await loadConfig(loader) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { problems: error.problems };
  } finally {
    await loader.close();
  }
}

/** A misspelt variable is no error to the service, which then goes on with the default. */
function checkNames(): Check[] {
  const families = ['INTERCOM_', 'INGEST_', 'ALERT_', 'CONSENT_', 'ANONYMOUS_'];
  const unknown = Object.keys(process.env).filter(
    (name) => families.some((family) => name.startsWith(family)) && !variableNames.includes(name),
  );
  if (unknown.length === 0) return [ok('settings', 'all values can be used')];
  const remedy = 'compare the name with the table of settings in the README';
  return unknown.map((name) => warn('settings', `${name} is set, but no setting has this name`, remedy));
}

async function checkIntercom(config: Config, database: DatabaseFindings): Promise<Check[]> {
  const { intercom } = config;
  if (intercom === null) {
    const rest = ['network', ...workspaceChecks.filter((name) => name !== 'token')];
    const message = 'INTERCOM_ACCESS_TOKEN is not set';
    const none =
      database.installations > 0
        ? warn('token', `${message}; the workspaces installed in the console are not checked here`, 'check them there')
        : fail(
            'token',
            `${message}: no workspace is installed, and /ingest answers 503`,
            'set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION, or install a workspace in the console',
          );
    return [none, ...skipped(rest, 'no workspace is set')];
  }
  const apiUrl = apiUrlOf(config, intercom.region);
  const network = await checkNetwork(apiUrl);
  if (network.status === 'fail') return [network, ...skipped([...workspaceChecks], 'mend the network first')];
  const isRegionsOwn = Object.values<string>(regionUrls).includes(apiUrl);
  return [
    network,
    ...(await checkWorkspace({
      intercom: { ...intercom, apiUrl },
      version: config.intercomVersion,
      share: config.quotaShare,
      leftOut: database.leftOut,
      hosts: isRegionsOwn ? Object.entries(regionUrls).map(([region, url]) => ({ region, url })) : [],
    })),
  ];
}
