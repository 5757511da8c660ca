#!/usr/bin/env node
// `npm run migrate`, and `migrate` in the image: the schema of a PostgreSQL database, and a queue from SQLite into it.
// Nothing but Node's own modules is imported before the version check, so that an old Node meets one plain line and no
// stack trace.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `signal-intercom needs Node.js 24 or newer; this is ${process.version}. Start it with npm run migrate, which brings its own.\n`,
  );
  process.exit(1);
}
const { runMigrate } = await import('./migrate/command.ts');
process.exitCode = await runMigrate(process.argv.slice(2), process.env);
