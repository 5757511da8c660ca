import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startSimulator } from '../src/simulator/simulator.ts';
import { judge, ledgerOf, loadSome, totalOf, user } from './crash/people.ts';
import { startProcess, tryPost } from './process.ts';
import { temporaryFolder, token, until } from './service.ts';

const operations = readFileSync('docs/operations.md', 'utf8');
/** As the operator copies it. */
const command = /docker exec signal-intercom (node -e \\\n {2}"[^"]+")/.exec(operations)?.[1] ?? '';

t.test('a back-up that is made beside the service, as operations.md has it, delivers what waited in it', async (t) => {
  const simulator = await startSimulator({ tokens: [] });
  t.teardown(() => simulator.close());
  const folder = join(temporaryFolder(t), 'data');
  mkdirSync(folder);
  const path = join(folder, 'signal-intercom.db');
  const env = { DATABASE_URL: `file:${path}`, INTERCOM_API_URL: simulator.url };
  const service = await startProcess(t, env);
  const post = async (events: object[]): Promise<boolean> =>
    (await tryPost(service.url, events, { prefer: 'respond-async' }))?.status === 202;
  const people = Array.from({ length: 20 }, (_, n) => user(`u-${n}`));
  await Promise.all(people.map((person) => loadSome(person, post, 5)));

  const shell = command.replaceAll('/data/', `${folder}/`);
  const made = spawnSync('sh', ['-c', shell], { env: { PATH: process.env.PATH }, encoding: 'utf8' });
  t.match(made.stdout, /^\d+ pages$/m, made.stderr);
  const later = user('later');
  await loadSome(later, post, 1);
  t.equal(simulator.count('POST /events'), 0, 'control: nothing is delivered yet');
  t.equal(await service.end('SIGKILL'), 'SIGKILL');

  const aside = join(folder, 'aside');
  mkdirSync(aside);
  for (const name of ['signal-intercom.db', 'signal-intercom.db-wal', 'signal-intercom.db-shm'])
    renameSync(join(folder, name), join(aside, name));
  renameSync(join(folder, 'backup.db'), path);
  simulator.setTokens([token]);
  const restored = await startProcess(t, env);
  await until('all that was in it is delivered', async () => totalOf(await ledgerOf(restored.url), 'queued') === 0);
  judge(t, simulator, people);
  t.strictSame(simulator.timeline(later.id), [], 'control: what came after it is not in it');
  const again = (id: string) => ({ type: 'track', event: 'Clicked', userId: id, messageId: `${id}-0` });
  t.match(await tryPost(restored.url, again('u-0')), { body: { events: [{ status: 'duplicate' }] } });
  t.match(await tryPost(restored.url, again(later.id)), { body: { events: [{ status: 'delivered' }] } });
  t.equal(await restored.end('SIGTERM'), 0);
});
