import { consolePaths } from './openapi/console.ts';
import { eventPaths } from './openapi/events.ts';
import { explainPaths } from './openapi/explain.ts';
import { healthPaths } from './openapi/health.ts';
import { addressedIngestPath, ingestComponents, ingestPath } from './openapi/ingest.ts';
import { managementPaths } from './openapi/management.ts';
import { peoplePaths } from './openapi/people.ts';
import { redrivePaths } from './openapi/redrives.ts';
import { describeSchemas } from './openapi/schemas.ts';
import { withThrottling } from './openapi/throttled.ts';
import { watchingPaths } from './openapi/watching.ts';
import { readVersion } from './version.ts';

/** The HTTP contract as an OpenAPI document: paths by hand, schemas from the code that validates. */
export function describeApi(): object {
  return {
    openapi: '3.1.1',
    info: {
      title: 'Signal → Intercom',
      version: readVersion(),
      summary: 'Datafly Signal events in, Intercom contacts and timeline events out.',
      description:
        'Takes the events of a Datafly Signal webhook, keeps them durably, and sends them to Intercom: once, and in order for each person.\n\nErrors are answered as `application/problem+json` (RFC 9457); `code` says which one, `detail` what to do.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: 'http://localhost:8080', description: 'The address that the service listens on by default.' }],
    tags: [
      { name: 'ingest', description: 'Where Signal sends its events.' },
      { name: 'events', description: 'What became of each event; dead letters and their way back.' },
      { name: 'people', description: 'What is known of a person, and its erasure.' },
      { name: 'management', description: "Installed Intercom workspaces, in the shapes of Signal's Management API." },
      { name: 'operations', description: 'For load balancers, monitoring and whoever integrates.' },
    ],
    paths: withThrottling({
      '/ingest': ingestPath,
      '/ingest/{installation}': addressedIngestPath,
      ...eventPaths,
      ...redrivePaths,
      ...watchingPaths,
      ...explainPaths,
      ...peoplePaths,
      ...managementPaths,
      ...healthPaths,
      ...consolePaths,
    }),
    components: { ...ingestComponents, schemas: describeSchemas() },
  };
}
