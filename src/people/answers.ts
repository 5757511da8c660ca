import { z } from 'zod';
import { KeptEvent, toSummary } from '../console/event-answers.ts';
import { explain } from '../console/reasons.ts';
import { openRecord } from '../intercom/contact-record.ts';
import type { ErasureState, EventSummary, PersonDetail } from '../queue/queue.ts';

const time = z.iso.datetime();

export const PersonAnswer = z
  .object({
    person: z.string().meta({ description: '`user:…`, `email:…` or `anon:…`: whom the key belongs to by now.' }),
    aliases: z.array(z.string()).meta({ description: 'The other keys of this person.' }),
    contact: z
      .object({
        intercomId: z.string().nullable(),
        role: z.enum(['user', 'lead']).nullable(),
        fields: z.record(z.string(), z.unknown()),
        attributes: z.record(z.string(), z.unknown()),
        companies: z.record(z.string(), z.string()).meta({ description: "By groupId, the company's id in Intercom." }),
      })
      .nullable()
      .meta({ description: 'What Intercom has acknowledged; null while nothing was sent.' }),
    consent: z
      .object({ functional: z.boolean(), marketing: z.boolean(), at: time })
      .nullable()
      .meta({ description: 'The newest statement; null where nothing was ever withheld.' }),
    queued: z.int(),
    events: z.array(KeptEvent).meta({ description: 'Newest first.' }),
    nextCursor: z.string().nullable(),
  })
  .meta({ id: 'Person' });

export const ErasureAnswer = z
  .object({
    id: z.string().meta({ description: 'Also that of an event of the type `erasure`: /events/{id} has the attempts.' }),
    status: z.enum(['running', 'done', 'dead']).meta({
      description: '`done`: nothing is left here, and in Intercom neither. `dead`: refused by Intercom; redrive it.',
    }),
    reason: z.string().nullable(),
    explanation: z.object({ cause: z.string(), remedy: z.string() }).nullable(),
    intercom: z.object({ status: z.int().nullable(), calls: z.int() }),
    requestedAt: time,
    endedAt: time.nullable(),
  })
  .meta({ id: 'Erasure' });

export function toPerson(
  detail: PersonDetail,
  { events, next }: { events: EventSummary[]; next: string | null },
): z.infer<typeof PersonAnswer> {
  const { person, aliases, record, joined, consent, queued } = detail;
  const known = record === null && joined.length === 0 ? null : openRecord(record, joined);
  return {
    person,
    aliases,
    contact: known && {
      intercomId: known.contactId ?? null,
      role: known.role ?? null,
      fields: known.fields,
      attributes: known.attributes,
      companies: known.companies,
    },
    consent: consent && { functional: consent.functional, marketing: consent.marketing, at: iso(consent.atMs) },
    queued,
    events: events.map(toSummary),
    nextCursor: next,
  };
}

export function toErasure(state: ErasureState): z.infer<typeof ErasureAnswer> {
  const { id, status, reason, intercomStatus, calls, requestedAtMs, endedAtMs } = state;
  return {
    id,
    status,
    reason,
    explanation: explain(reason),
    intercom: { status: intercomStatus, calls },
    requestedAt: iso(requestedAtMs),
    endedAt: endedAtMs === null ? null : iso(endedAtMs),
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();
