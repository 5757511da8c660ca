/** The paths that tell how the service is; open to everybody who reaches the port. */

const open: never[] = [];
const tags = ['operations'];
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });

const ready = { status: 'ready', store: { ok: true }, dispatch: { ok: true } };
const tokenInvalid = {
  ok: false,
  reason: 'token_invalid',
  message: 'Intercom does not accept the access token, or it belongs to another region',
  remedy:
    'copy the token anew from Intercom (Settings > Integrations > Developer Hub > your app > Authentication) to where it is configured (the console, or INTERCOM_ACCESS_TOKEN), and check that the region (INTERCOM_REGION) is where the workspace is hosted',
};

const metricsExample = `# HELP signal_intercom_ingest_events_total Events that came to /ingest, by what was answered
# TYPE signal_intercom_ingest_events_total counter
signal_intercom_ingest_events_total{status="delivered",reason=""} 21
# HELP signal_intercom_accepted_events_total Events accepted since the database was made
# TYPE signal_intercom_accepted_events_total counter
signal_intercom_accepted_events_total 32
# HELP signal_intercom_ledger_events Where the accepted events are: the states add up to signal_intercom_accepted_events_total
# TYPE signal_intercom_ledger_events gauge
signal_intercom_ledger_events{state="delivered"} 27
signal_intercom_ledger_events{state="filtered"} 2
signal_intercom_ledger_events{state="dead"} 3
signal_intercom_ledger_events{state="queued"} 0
`;

export const healthPaths = {
  '/healthz': {
    get: {
      operationId: 'isAlive',
      summary: 'The process answers',
      description: 'For restarting what hangs. It says nothing of the database or Intercom: /readyz does.',
      tags,
      security: open,
      responses: {
        200: {
          description: 'Alive.',
          content: { 'application/json': { schema: ref('Liveness'), example: { status: 'ok' } } },
        },
      },
    },
  },
  '/readyz': {
    get: {
      operationId: 'isReady',
      summary: 'Events can be stored and dispatched',
      description:
        'While an installation is on hold, events are still accepted: let a load balancer ask with `only=store`, and a monitor without. Without an installation the service is ready, so that one can be installed.',
      tags,
      security: open,
      parameters: [
        {
          name: 'only',
          in: 'query',
          description: 'The part that decides the status; both are told in any case.',
          schema: { type: 'string', enum: ['store'] },
        },
      ],
      responses: {
        200: {
          description: 'Ready.',
          content: {
            'application/json': {
              schema: ref('Readiness'),
              examples: {
                ready: { summary: 'stores and sends', value: ready },
                noInstallation: {
                  summary: 'waits to be installed',
                  value: {
                    ...ready,
                    dispatch: {
                      ok: true,
                      reason: 'no_installation',
                      message: 'no Intercom workspace is installed yet',
                    },
                  },
                },
                storeOnly: {
                  summary: 'asked with only=store: on hold, and stores',
                  value: { ...ready, dispatch: tokenInvalid },
                },
              },
            },
          },
        },
        503: {
          description: 'A part can not work; it says which and what to do.',
          content: {
            'application/json': {
              schema: ref('Readiness'),
              examples: {
                held: {
                  summary: 'Intercom refuses the access token',
                  value: { ...ready, status: 'not_ready', dispatch: tokenInvalid },
                },
              },
            },
          },
        },
      },
    },
  },
  '/metrics': {
    get: {
      operationId: 'readMetrics',
      summary: 'Metrics for Prometheus',
      tags,
      security: open,
      responses: {
        200: {
          description: 'All metrics, in the Prometheus text format 0.0.4.',
          content: { 'text/plain': { schema: { type: 'string' }, example: metricsExample } },
        },
      },
    },
  },
  '/openapi.yaml': {
    get: {
      operationId: 'readContract',
      summary: 'This description',
      tags,
      security: open,
      responses: {
        200: {
          description: 'The contract of this version.',
          content: {
            'application/yaml': {
              schema: { type: 'string' },
              example: 'openapi: 3.1.1\ninfo:\n  title: Signal → Intercom\n',
            },
          },
        },
      },
    },
  },
};
