#!/usr/bin/env node
// `npm run doctor`, and `doctor` in the image: what is wrong, and how to mend it. Nothing but Node's own modules is
// imported before the version check, so that an old Node meets one plain line and no stack trace.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `signal-intercom needs Node.js 24 or newer; this is ${process.version}. Start it with npm run doctor, which brings its own.\n`,
  );
  process.exit(1);
}
const { examine } = await import('./doctor/examine.ts');
const { print } = await import('./doctor/print.ts');
const checks = await examine();
process.stdout.write(print(checks, { json: process.argv.includes('--json') }));
process.exitCode = checks.some(({ status }) => status === 'fail') ? 1 : 0;
