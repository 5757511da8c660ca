// The process: configuration, listening, signals, exit code. Nothing but Node's own modules is imported before the
// version check, so that an old Node meets one plain line and no stack trace.
const [major = 0] = process.versions.node.split('.').map(Number);
if (major < 24) {
  process.stderr.write(
    `signal-intercom needs Node.js 24 or newer; this is ${process.version}. Start it with npm start, which brings its own.\n`,
  );
  process.exit(1);
}
const { serve } = await import('./serve.ts');
await serve();
