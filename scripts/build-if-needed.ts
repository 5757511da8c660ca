// `npm start` builds first, where there is a compiler and the sources are newer than what was built.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';

const built = 'dist/server.js';
const compiler = 'node_modules/typescript/lib/tsc.js';
const newest = Math.max(...globSync('src/**/*.ts').map((file) => statSync(file).mtimeMs));

if (!existsSync(built) || statSync(built).mtimeMs < newest) {
  if (!existsSync(compiler)) {
    process.stderr.write(
      'The service is not built, and there is no compiler here: run npm ci (without --omit=dev) first.\n',
    );
    process.exit(1);
  }
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], { stdio: 'inherit' });
  process.exit(status ?? 1);
}
