import type { SignalEvent } from '../ingest/event.ts';
import { forgetTargets, freeSecond, rememberTarget, takeSecond } from './contact-record.ts';
import { type Conversation, delivered, outcomeOf } from './conversation.ts';
import type { Desk, WorkJob } from './destination.ts';
import type { EventNames } from './event-names.ts';
import { forgetContact, type Identity, mayAdopt, nothing } from './identity.ts';
import { eventKey, type Mapped } from './mapping.ts';
import type { Outcome } from './outcome.ts';

type Event = Extract<Mapped, { kind: 'event' }>;

/** An event, and what may be done for it: its contact made, or brought back; its lead made the user. */
const rounds = 3;

/**
 * Events on a contact's timeline. Intercom answers 202 to a repeat (same contact, name and second) and keeps the first
 * one, so that an event whose end is unknown is sent again to the same contact with the same second.
 */
export function createTimeline({ identity, eventNames }: { identity: Identity; eventNames: EventNames }) {
  async function deliver(
    c: Conversation,
    mapped: Event,
    event: SignalEvent,
    job: WorkJob,
    desk: Desk,
  ): Promise<Outcome> {
    const key = eventKey(mapped.eventName);
    const own = Math.floor(job.atMs / 1000);
    if (mayAdopt(c)) {
      const adopted = await identity.upsert(c, nothing);
      if (adopted.kind !== 'delivered') return adopted;
    }
    const createdAt = job.createdAtSeconds ?? freeSecond(c.record, key, own);
    const body = {
      event_name: mapped.eventName,
      created_at: createdAt,
      ...(Object.keys(mapped.metadata).length > 0 && { metadata: mapped.metadata }),
    };
    if (createdAt !== own) c.warn(secondMoved(own, createdAt));
    let isChosen = job.createdAtSeconds !== null;

    async function choose(): Promise<void> {
      isChosen = true;
      // Taken, even if the job is refused or given up before anybody knows whether Intercom has it.
      c.record = takeSecond(c.record, key, createdAt);
      await desk.choose(job.id, createdAt, JSON.stringify(c.record));
    }

    for (let round = 0; round < rounds; round += 1) {
      const target = await targetOf(c, job);
      if ('kind' in target) return target;
      if (target.id !== undefined && c.record.sentTo[job.id] !== target.id) {
        // A lead may become one with a user before the end of this call is known.
        c.record = rememberTarget(c.record, job.id, target.id);
        await choose();
      } else if (createdAt !== own && !isChosen) await choose();
      const verdict = await c.call({ method: 'POST', path: '/events', body: { ...target, ...body } });
      if (verdict.kind === 'done') {
        await eventNames.used(c, key);
        c.record = { ...takeSecond(c.record, key, createdAt), ...('user_id' in target && { exists: true }) };
        return delivered(verdict.status);
      }
      // Intercom may have it: whatever joins this person meanwhile, it is sent again with the same second.
      if (verdict.kind === 'retry' && verdict.maybeDone && !isChosen) await choose();
      if (verdict.kind !== 'missing') return outcomeOf(verdict);
      c.record = forgetTargets(c.record, [job.id]);
      if (target.id !== undefined && c.person.kind === 'user') continue; // the lead that it went to is gone
      // Nobody of that id: the contact is made, or brought back, and the same event sent again.
      forgetContact(c);
      const email = event.email === undefined ? nothing : { fields: { email: event.email }, attributes: {} };
      const made = await identity.upsert(c, c.person.kind === 'user' ? email : nothing);
      if (made.kind !== 'delivered') return made;
    }
    return { kind: 'retry', reason: 'not_found', status: 404 };
  }

  async function targetOf(
    c: Conversation,
    job: WorkJob,
  ): Promise<Outcome | { id: string } | { user_id: string; id?: never }> {
    const sentTo = c.record.sentTo[job.id];
    if (sentTo !== undefined) return { id: sentTo };
    if (c.person.kind === 'user') return { user_id: c.person.value };
    if (c.record.contactId === undefined) {
      const found = await identity.upsert(c, nothing);
      if (found.kind !== 'delivered') return found;
    }
    if (c.record.contactId === undefined) throw new Error('a contact that is there has an id');
    return { id: c.record.contactId };
  }

  return { deliver };
}

function secondMoved(own: number, chosen: number): { code: string; message: string } {
  const message = `the person has an event of this name in the same second, of which Intercom would drop the later one: sent ${chosen - own} s later`;
  return { code: 'second_moved', message };
}
