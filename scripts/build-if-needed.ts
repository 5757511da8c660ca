// `npm start` builds first, where there is a compiler and the sources are newer than what was built.
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, statSync } from 'node:fs';

const built = ['dist/server.js', 'dist/console/page/index.html'];
const compiler = 'node_modules/typescript/lib/tsc.js';
const bundler = 'node_modules/vite/bin/vite.js';
const newest = Math.max(...globSync('src/**/*.*').map((file) => statSync(file).mtimeMs));

if (!built.every((file) => existsSync(file) && statSync(file).mtimeMs >= newest)) {
  if (!existsSync(compiler) || !existsSync(bundler)) {
    process.stderr.write(
      'The service is not built, and there is no compiler here: run npm ci (without --omit=dev) first.\n',
    );
    process.exit(1);
  }
  run(compiler, '-p', 'tsconfig.build.json');
  run(bundler, 'build', '--logLevel', 'warn');
}

function run(tool: string, ...options: string[]): void {
  const { status } = spawnSync(process.execPath, [tool, ...options], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
