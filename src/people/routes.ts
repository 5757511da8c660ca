import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { readQuery, someText } from '../console/event-query.ts';
import { plainEmail } from '../ingest/event.ts';
import { readPreference } from '../ingest/prefer.ts';
import { ProblemError, sendProblem } from '../problem.ts';
import type { AuditEntry, ErasureState, Queue } from '../queue/queue.ts';
import { toErasure, toPerson } from './answers.ts';

export type PeopleOptions = {
  queue: Pick<Queue, 'person' | 'find' | 'erase' | 'erasure' | 'keepAudit'>;
  hasInstallation(id: string): boolean;
  /** How long a request waits for the end of an erasure. */
  waitMs: number;
  /** An erasure is on its way, as an event of that id. */
  onErasure(id: string): void;
};

const Where = z.strictObject({ installation: someText.default('default') });
const Page = Where.extend({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: someText.optional(),
});

const lookAgainMs = 25;

type ByKey = { Params: { key: string } };

/** What is known of one person, and its erasure: here and in Intercom. */
export async function peopleRoutes(app: FastifyInstance, options: PeopleOptions): Promise<void> {
  const { queue } = options;

  app.get<ByKey>('/people/:key', async (request) => {
    const { installation, limit, cursor } = readQuery(Page, request.query);
    const key = readKey(request.params.key);
    requireInstallation(installation);
    const detail = await queue.person(installation, key);
    const people = [detail.person, ...detail.aliases];
    const found = await queue.find({ installation, people }, { limit, before: cursor ?? null });
    const isKnown = detail.record !== null || detail.joined.length > 0 || detail.aliases.length > 0;
    if (!isKnown && found.events.length === 0 && cursor === undefined) throw unknownPerson();
    return toPerson(detail, found);
  });

  app.delete<ByKey>('/people/:key', async (request, reply) => {
    const { installation } = readQuery(Where, request.query);
    const key = readKey(request.params.key);
    requireInstallation(installation);
    const prefer = readPreference(request.headers.prefer, options.waitMs);
    const id = await queue.erase(installation, key);
    options.onErasure(id);
    await queue.keepAudit(auditEntry(installation, id, request.ip, request.headers['user-agent'] ?? ''));
    const state = await waitFor(id, prefer.waitMs);
    if (prefer.applied !== null) reply.header('preference-applied', prefer.applied);
    reply.header('location', `/people/erasures/${id}`);
    if (state.status !== 'dead') return reply.code(state.status === 'done' ? 200 : 202).send(toErasure(state));
    const detail = `Intercom refused to delete the person (${state.reason}); here it is erased. /events/${id} has the answer: mend what it names, then POST /events/${id}/redrive`;
    return sendProblem(reply, { status: 422, code: 'refused_by_intercom', detail }, { erasure: toErasure(state) });
  });

  app.get<{ Params: { id: string } }>('/people/erasures/:id', async (request) => {
    const state = await queue.erasure(request.params.id);
    if (state) return toErasure(state);
    const detail = `no erasure ${request.params.id.slice(0, 40)} is known: it never was, or its time (RETENTION_DAYS) is over`;
    throw new ProblemError({ status: 404, code: 'unknown_erasure', detail });
  });

  async function waitFor(id: string, ms: number): Promise<ErasureState> {
    const deadline = performance.now() + ms;
    for (;;) {
      const state = await queue.erasure(id);
      if (!state) throw new Error('an erasure that was just asked for is not known');
      if (state.status !== 'running' || performance.now() >= deadline) return state;
      await delay(lookAgainMs);
    }
  }

  function requireInstallation(id: string): void {
    if (options.hasInstallation(id)) return;
    const detail = `there is no installation ${id.slice(0, 60)}; GET /v1/admin/integrations lists them`;
    throw new ProblemError({ status: 404, code: 'no_installation', detail });
  }
}

/** A key as an event carries it: an email in any spelling, an id exactly. */
function readKey(key: string): string {
  const [, kind, value = ''] = /^(user|email|anon):(.+)$/s.exec(key) ?? [];
  const email = kind === 'email' ? plainEmail(value) : undefined;
  if (email !== undefined) return `email:${email}`;
  if (kind === 'user' || kind === 'anon') return `${kind}:${value}`;
  const detail = 'a person is named by user:<userId>, email:<address> or anon:<anonymousId>, URL-encoded';
  throw new ProblemError({ status: 400, code: 'invalid_key', detail });
}

/** Who asked for an erasure, and when; not whose it is. */
function auditEntry(installation: string, id: string, ipAddress: string, userAgent: string): AuditEntry {
  const changes = JSON.stringify({ erasure: { old: null, new: id } });
  return { atMs: Date.now(), action: 'person.erased', resource: installation, changes, ipAddress, userAgent };
}

function unknownPerson(): ProblemError {
  const detail =
    'nothing is known of this person, and no event of it is kept; DELETE erases it in Intercom all the same';
  return new ProblemError({ status: 404, code: 'unknown_person', detail });
}
