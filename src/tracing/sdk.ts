import { DiagLogLevel, diag, type Tracer } from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { Logger } from 'pino';
import type { Tracing, TracingEnvironment } from './open.ts';
import { createSpans } from './spans.ts';

/** The flush at the end must not outlast what is left of the time to stop. */
const closeWithinMs = 2000;

/** OpenTelemetry's SDK, set up as the standard variables say; the exporter reads those of OTLP itself. */
export function startTracing(env: TracingEnvironment, version: string, log: Logger): Tracing {
  const said = (level: 'warn' | 'debug') => (message: string) => log[level]({ detail: message }, 'tracing.sdk');
  const quiet = said('debug');
  // What the exporter finds wrong again and again is told once, below.
  diag.setLogger(
    { error: quiet, warn: said('warn'), info: quiet, debug: quiet, verbose: quiet },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'signal-intercom', 'service.version': version }).merge(
      detectResources({ detectors: [envDetector] }),
    ),
    sampler: samplerOf(env),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: tellOnce(new OTLPTraceExporter(), log),
        ...(env.OTEL_BSP_SCHEDULE_DELAY !== undefined && { scheduledDelayMillis: env.OTEL_BSP_SCHEDULE_DELAY }),
        ...(env.OTEL_BSP_EXPORT_TIMEOUT !== undefined && { exportTimeoutMillis: env.OTEL_BSP_EXPORT_TIMEOUT }),
        ...(env.OTEL_BSP_MAX_QUEUE_SIZE !== undefined && { maxQueueSize: env.OTEL_BSP_MAX_QUEUE_SIZE }),
        ...(env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE !== undefined && {
          maxExportBatchSize: env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE,
        }),
      }),
    ],
  });
  const tracer: Tracer = provider.getTracer('signal-intercom', version);
  log.info('tracing.on');

  return {
    ...createSpans(tracer),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, closeWithinMs);
      });
      await Promise.race([provider.shutdown().catch(() => {}), late]);
      clearTimeout(timer);
      diag.disable();
    },
  };
}

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: ratio }: TracingEnvironment): Sampler {
  switch (name) {
    case 'always_on':
      return new AlwaysOnSampler();
    case 'always_off':
      return new AlwaysOffSampler();
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio ?? 1);
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio ?? 1) });
    default:
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
  }
}

/** A collector that is down would be a line per batch. */
function tellOnce(exporter: SpanExporter, log: Logger): SpanExporter {
  let isFailing = false;
  return {
    export(spans, settle) {
      exporter.export(spans, ({ code, error }) => {
        const isDone = code === ExportResultCode.SUCCESS;
        if (!isDone && !isFailing)
          log.warn({ reason: error?.message }, 'tracing.not_sent: the collector did not take the spans');
        isFailing = !isDone;
        settle({ code: ExportResultCode.SUCCESS });
      });
    },
    shutdown: () => exporter.shutdown(),
  };
}
