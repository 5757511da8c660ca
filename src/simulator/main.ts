import { z } from 'zod';
import { startSimulator } from './simulator.ts';

const number = z.coerce.number().nonnegative();
const Environment = z.object({
  SIMULATOR_HOST: z.string().default('127.0.0.1'),
  SIMULATOR_PORT: z.coerce.number().int().min(0).max(65_535).default(8090),
  SIMULATOR_TOKENS: z
    .string()
    .default('demo-token')
    .transform((text) => text.split(',').map((token) => token.trim())),
  SIMULATOR_REGION: z.enum(['US', 'Europe', 'AU']).default('US'),
  SIMULATOR_LIMIT_PER_MINUTE: z
    .union([z.literal('Infinity').transform(() => Infinity), number.positive()])
    .default(10_000),
  SIMULATOR_INDEX_LAG_MS: number.default(120_000),
  SIMULATOR_LATENCY_MS: number.default(0),
});

/** A process that runs for days must not keep every call in memory; tests in one process do. */
const KEEP_CALLS = 10_000;

const set = Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== ''));
const parsed = Environment.safeParse(set);
if (parsed.success) await run(parsed.data);
else {
  console.error(`The simulator cannot start:\n${z.prettifyError(parsed.error)}`);
  process.exitCode = 1;
}

async function run(environment: z.infer<typeof Environment>): Promise<void> {
  const tokens = environment.SIMULATOR_TOKENS;
  const simulator = await startSimulator({
    host: environment.SIMULATOR_HOST,
    port: environment.SIMULATOR_PORT,
    tokens,
    region: environment.SIMULATOR_REGION,
    limitPerMinute: environment.SIMULATOR_LIMIT_PER_MINUTE,
    indexLagMs: environment.SIMULATOR_INDEX_LAG_MS,
    latencyMs: environment.SIMULATOR_LATENCY_MS,
    keepCalls: KEEP_CALLS,
  });
  console.log(`Intercom simulator ready at ${simulator.url}, access token: ${tokens.join(' or ')}`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void simulator.close());
}
