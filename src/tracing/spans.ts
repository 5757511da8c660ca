import {
  type Attributes,
  type Context,
  isSpanContextValid,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from '@opentelemetry/api';
import type { FastifyRequest } from 'fastify';
import type { AttemptReport } from '../dispatch/dispatcher.ts';
import type { Tracing } from './open.ts';
import { urlTemplate } from './url-template.ts';

const sampled = 1;

/**
 * Names and attributes follow OpenTelemetry's semantic conventions for HTTP and messaging. None of them is personal:
 * no address, no header, no body, and no id but those that this service and Intercom give.
 */
export function createSpans(tracer: Tracer): Omit<Tracing, 'close'> {
  const spans = new WeakMap<FastifyRequest, Span>();

  function begin(request: FastifyRequest, route: string): void {
    const { method, headers } = request;
    const parent = contextOf([headers.traceparent].flat()[0]);
    const attributes: Attributes = {
      'http.request.method': method,
      'http.route': route,
      'url.path': request.url.split('?')[0],
      'url.scheme': request.protocol,
      'http.request.body.size': Number(headers['content-length'] ?? 0),
    };
    const span = tracer.startSpan(
      `${method} ${route}`,
      { kind: SpanKind.SERVER, attributes },
      parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT,
    );
    if (span.isRecording()) spans.set(request, span);
  }

  function end(request: FastifyRequest, status: number): void {
    const span = spans.get(request);
    if (!span) return;
    span.setAttribute('http.response.status_code', status);
    if (status >= 500) fail(span, String(status));
    span.end();
  }

  return {
    watch(http) {
      http.addHook('onRequest', async (request) => {
        const route = request.routeOptions.url;
        if (route?.startsWith('/ingest')) begin(request, route);
      });
      http.addHook('onResponse', async (request, reply) => end(request, reply.statusCode));
      http.addHook('onRequestAbort', async (request) => spans.get(request)?.end());
    },
    traceparentOf(request) {
      const context = spans.get(request)?.spanContext();
      return context && (context.traceFlags & sampled) === sampled
        ? `00-${context.traceId}-${context.spanId}-01`
        : undefined;
    },
    attempted: (report, apiUrl) => recordAttempt(tracer, report, new URL(apiUrl)),
  };
}

function recordAttempt(tracer: Tracer, report: AttemptReport, api: URL): void {
  const { lease, step, outcome, reason, attempt } = report;
  const ids = new Set(step.jobs.map(({ id }) => id));
  const traces = new Set(lease.jobs.flatMap(({ id, trace: kept }) => (ids.has(id) && kept !== undefined ? kept : [])));
  const contexts = [...traces].flatMap((kept) => contextOf(kept) ?? []);
  const [first] = contexts;
  if (!first) return;
  const isFailed = outcome === 'dead' || outcome === 'retry' || outcome === 'hold';
  const span = tracer.startSpan(
    `deliver ${lease.installation}`,
    {
      kind: SpanKind.CONSUMER,
      startTime: Math.round(step.startedAtMs),
      links: contexts.map((context) => ({ context })),
      attributes: {
        'messaging.system': 'signal_intercom',
        'messaging.operation.name': 'deliver',
        'messaging.operation.type': 'process',
        'messaging.destination.name': lease.installation,
        'messaging.message.id': step.jobs[0]?.id,
        'messaging.batch.message_count': step.jobs.length,
        'signal_intercom.event.type': step.type,
        'signal_intercom.attempt': attempt,
        'signal_intercom.outcome': outcome,
        ...(reason !== null && { 'signal_intercom.reason': reason }),
      },
    },
    trace.setSpanContext(ROOT_CONTEXT, first),
  );
  if (isFailed) fail(span, reason ?? outcome);
  const parent = trace.setSpanContext(ROOT_CONTEXT, span.spanContext());
  for (const call of step.exchange.calls) recordCall(tracer, call, api, parent);
  span.end(Math.round(step.startedAtMs + step.ms));
}

type Call = AttemptReport['step']['exchange']['calls'][number];

function recordCall(tracer: Tracer, call: Call, api: URL, parent: Context): void {
  const { method, path, status, requestId, atMs, ms } = call;
  const template = urlTemplate(path);
  const span = tracer.startSpan(
    `${method} ${template}`,
    {
      kind: SpanKind.CLIENT,
      startTime: atMs,
      attributes: {
        'http.request.method': method,
        'url.template': template,
        'url.scheme': api.protocol.slice(0, -1),
        'server.address': api.hostname,
        'server.port': Number(api.port) || (api.protocol === 'https:' ? 443 : 80),
        ...(status !== null && { 'http.response.status_code': status }),
        ...(requestId !== undefined && { 'http.response.header.x-request-id': [requestId] }),
      },
    },
    parent,
  );
  if (status === null) fail(span, 'no_answer');
  else if (status >= 400) fail(span, String(status));
  span.end(atMs + ms);
}

function fail(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}

/** Of a W3C traceparent; undefined where it is none, or of a trace that nobody collects. */
function contextOf(traceparent: string | undefined): SpanContext | undefined {
  const match = /^[\da-f]{2}-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-|$)/.exec(traceparent ?? '');
  if (!match) return undefined;
  const [, traceId = '', spanId = '', flags = '00'] = match;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & sampled, isRemote: true };
  return isSpanContextValid(context) ? context : undefined;
}
