import { z } from 'zod';
import { EventCauses, EventList, EventStory, KeptEvent } from '../console/event-answers.ts';
import { Hold, Overview } from '../console/overview.ts';
import { RedriveAnswer, RedriveProgress, RedriveQuery, RedriveStarted } from '../console/redrive-routes.ts';
import { ExplainedCall, ExplainedEvent, ExplainedWarning, Explanation } from '../explain/answer.ts';
import { Liveness, Readiness, ReadinessPart } from '../health.ts';
import { EventAnswer, IngestAnswer, IngestProblem } from '../ingest/answer.ts';
import { WireEvent } from '../ingest/event.ts';
import {
  AuditLog,
  AuditLogEntry,
  CheckAnswer,
  Integration,
  IntegrationList,
  ManagementError,
} from '../installations/answers.ts';
import { ChangeRequest, InstallRequest } from '../installations/routes.ts';
import { ErasureAnswer, PersonAnswer } from '../people/answers.ts';
import { ProblemBody } from '../problem.ts';

const described = [
  WireEvent,
  IngestAnswer,
  EventAnswer,
  ProblemBody,
  IngestProblem,
  Liveness,
  Readiness,
  ReadinessPart,
  KeptEvent,
  EventList,
  EventStory,
  RedriveQuery,
  RedriveAnswer,
  RedriveStarted,
  RedriveProgress,
  EventCauses,
  Explanation,
  ExplainedEvent,
  ExplainedCall,
  ExplainedWarning,
  Overview,
  Hold,
  InstallRequest,
  ChangeRequest,
  Integration,
  IntegrationList,
  CheckAnswer,
  AuditLog,
  AuditLogEntry,
  ManagementError,
  PersonAnswer,
  ErasureAnswer,
];

/** The components, written by zod itself from the schemas that validate. */
export function describeSchemas(): Record<string, object> {
  const components = z.registry<{ id: string }>();
  for (const schema of described) {
    const id = z.globalRegistry.get(schema)?.id;
    if (id === undefined) throw new Error('a described schema needs an id in its meta()');
    components.add(schema, { id });
  }
  const { schemas } = z.toJSONSchema(components, {
    target: 'draft-2020-12',
    io: 'input',
    uri: (id) => `#/components/schemas/${id}`,
    override: ({ jsonSchema }) => simplify(jsonSchema),
  });
  for (const schema of Object.values(schemas)) {
    delete schema.$schema;
    delete schema.$id;
    delete schema.id;
  }
  return schemas;
}

/** Leaves out what JSON says by itself: keys are texts, and an integer is one that JavaScript can hold. */
function simplify(schema: z.core.JSONSchema.BaseSchema): void {
  delete schema.propertyNames;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}
