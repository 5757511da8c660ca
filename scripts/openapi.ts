// `npm run openapi`: writes openapi.yaml from the code. With --check it writes nothing: exit code 1 if the file is not
// what would be written.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { describeApi } from '../src/openapi.ts';

const file = 'openapi.yaml';
const heading = '# Written by `npm run openapi` from src/openapi.ts: change it there.\n';
// Many readers of OpenAPI still take YAML 1.1: an unquoted time would be no text to them.
const text = heading + stringify(describeApi(), { aliasDuplicateObjects: false, lineWidth: 120, compat: 'yaml-1.1' });

if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
  process.stderr.write(`${file} is not what the code describes: run npm run openapi and commit it.\n`);
  process.exitCode = 1;
}
