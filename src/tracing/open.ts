import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { z } from 'zod';
import type { AttemptReport } from '../dispatch/dispatcher.ts';

/**
 * OpenTelemetry traces, from a request of /ingest to the calls of Intercom. An event keeps the `traceparent` of its
 * request, so that its delivery, seconds or days later, belongs to the same trace.
 */
export type Tracing = {
  /** A span for each request of /ingest. */
  watch(http: FastifyInstance): void;
  /** What the events of this request are kept with; undefined where nobody collects its trace. */
  traceparentOf(request: FastifyRequest): string | undefined;
  /** A span for the attempt, and one for each call, under the trace of the events that it was for. */
  attempted(report: AttemptReport, apiUrl: string): void;
  /** Sends what was collected, as far as that goes quickly. */
  close(): Promise<void>;
};

const positive = z.coerce.number().int().positive().optional().catch(undefined);

/** What the SDK's packages don't read themselves; names and defaults are OpenTelemetry's. */
const Environment = z.object({
  OTEL_SDK_DISABLED: z.string().optional(),
  OTEL_TRACES_EXPORTER: z.string().optional(),
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: z.string().optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: z.string().optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: z.string().optional(),
  OTEL_TRACES_SAMPLER: z.string().optional(),
  OTEL_TRACES_SAMPLER_ARG: z.coerce.number().min(0).max(1).optional().catch(undefined),
  OTEL_BSP_SCHEDULE_DELAY: positive,
  OTEL_BSP_EXPORT_TIMEOUT: positive,
  OTEL_BSP_MAX_QUEUE_SIZE: positive,
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: positive,
});
export type TracingEnvironment = z.output<typeof Environment>;

/** Null, and not one of the SDK's modules loaded, unless the environment says where traces go. */
export async function openTracing(
  variables: Record<string, string | undefined>,
  version: string,
  log: Logger,
): Promise<Tracing | null> {
  const set = Object.entries(variables).filter(([, value]) => value?.trim() !== '');
  const env = Environment.parse(Object.fromEntries(set));
  const exporter = env.OTEL_TRACES_EXPORTER ?? 'otlp';
  const isWanted =
    env.OTEL_TRACES_EXPORTER !== undefined ||
    env.OTEL_EXPORTER_OTLP_ENDPOINT !== undefined ||
    env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT !== undefined;
  if (!isWanted || exporter === 'none' || env.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return null;
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL;
  if (exporter !== 'otlp' || protocol === 'grpc') {
    const what = exporter === 'otlp' ? `OTEL_EXPORTER_OTLP_PROTOCOL=${protocol}` : `OTEL_TRACES_EXPORTER=${exporter}`;
    log.warn({ remedy: 'send to an OTLP/HTTP receiver, port 4318 as a rule' }, `tracing.off: ${what} is not supported`);
    return null;
  }
  const { startTracing } = await import('./sdk.ts');
  return startTracing(env, version, log);
}
