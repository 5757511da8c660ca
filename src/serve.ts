import closeWithGrace from 'close-with-grace';
import Fastify from 'fastify';
import pino, { type Logger } from 'pino';
import { buildApp } from './app.ts';
import { type Config, loadConfig } from './config.ts';
import { ConfigError } from './config/environment.ts';

/** SIGTERM to exit: what is in flight may take 10 s, and the rest of the closing a little more. */
const graceMs = 10_000;
const closeDelayMs = graceMs + 3000;

/** Runs the service until a signal; exit code 1 when it can't start. */
export async function serve(): Promise<void> {
  const config = await readEnvironment();
  if (!config) return;
  const log = createLog(config.logLevel);
  try {
    const app = await buildApp(config, log);
    const exits = {
      onTimeout: (ms: number) => log.error({ ms }, 'service.not_stopped: it took too long, and ends as it is'),
      onSecondSignal: (signal: string) => log.warn({ signal }, 'service.not_stopped: told again, it ends at once'),
      onSecondError: (err: unknown) => log.fatal({ err }, 'service.failed'),
    };
    closeWithGrace({ delay: closeDelayMs, logger: false, ...exits }, async ({ signal, err }) => {
      if (err) log.fatal({ err }, 'service.failed');
      else log.info({ signal }, 'service.stopping');
      try {
        await app.stop(graceMs);
      } catch (error) {
        log.fatal({ err: error }, 'service.failed');
        throw error;
      }
      log.info('service.stopped');
    });
    const listening = await app.http.listen({ host: config.host, port: config.port });
    const address = config.tls ? listening.replace(/^http:/, 'https:') : listening;
    const adminAddress = (await app.listenAdmin()) ?? address;
    log.info({ console: `${adminAddress}/`, ingest: `${address}/ingest` }, 'service.started');
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    log.fatal({ reason: message }, 'service.not_started');
    process.exitCode = 1;
    setImmediate(() => process.exit());
  }
}

async function readEnvironment(): Promise<Config | undefined> {
  const loader = Fastify();
  try {
    return await loadConfig(loader);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
    return undefined;
  } finally {
    await loader.close();
  }
}

function createLog(level: string): Logger {
  return pino({
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    // Nothing below is ever logged on purpose; this is the second fence.
    redact: {
      paths: [
        '*.authorization',
        '*.accessToken',
        '*.email',
        '*.phone',
        'authorization',
        'accessToken',
        'email',
        'phone',
      ],
      censor: '[redacted]',
    },
  });
}
