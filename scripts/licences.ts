// `npm run licences`: the licences of what the service runs with, against a list of those that ask for no more than a notice.
import { readFileSync } from 'node:fs';
import { z } from 'zod';

const allowed = new Set(['MIT', 'ISC', '0BSD', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', 'BlueOak-1.0.0']);

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), license: z.string().optional(), dev: z.boolean().optional() }),
  ),
});

const { packages } = Lock.parse(JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')));
const run = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
const counts = new Map<string, number>();
const refused: string[] = [];
for (const [path, { version, license = 'none' }] of run) {
  counts.set(license, (counts.get(license) ?? 0) + 1);
  if (!allowed.has(license)) refused.push(`${path.replace(/^.*node_modules\//, '')} ${version ?? ''}: ${license}`);
}
process.stdout.write(`${run.length} packages: ${[...counts].map(([name, n]) => `${name} ${n}`).join(', ')}\n`);
if (refused.length > 0) {
  process.stderr.write(`Not on the list of licences:\n${refused.map((line) => `  ${line}`).join('\n')}\n`);
  process.exitCode = 1;
}
