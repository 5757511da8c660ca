import { asObject, type SignalEvent } from '../ingest/event.ts';
import type { Scalar } from './attribute-value.ts';
import { buildCompany, type Company } from './company.ts';
import { buildContact, type Contact } from './contact.ts';
import { knownEvent, pageEvent } from './event-catalog.ts';
import { pageEventName, readEventName, type EventNaming } from './event-name.ts';
import type { MetadataValue } from './metadata-value.ts';
import { ruleFor, type MappingRules, type Rule } from './mapping-rules.ts';
import { buildMetadata } from './metadata.ts';
import { snakeCase } from './spelling.ts';
import { collectWarnings, type Warn, type Warning } from './warning.ts';

export { eventKey } from './event-name.ts';
export type { MetadataValue, Scalar, Warning };

/** What an event becomes in Intercom, before anything is known of the workspace or the person. */
export type Mapped =
  | { kind: 'contact'; contact: Contact; customAttributes: Record<string, Scalar>; warnings: Warning[] }
  | { kind: 'event'; eventName: string; metadata: Record<string, MetadataValue>; warnings: Warning[] }
  | {
      kind: 'company';
      companyId: string;
      company: Company;
      customAttributes: Record<string, Scalar>;
      warnings: Warning[];
    }
  | { kind: 'dropped'; warnings: Warning[] };

export type MappingOptions = { eventNaming: EventNaming; rules: MappingRules };

/** Pure: the same event and options give the same answer, and nothing that can come as JSON makes it throw. */
export function mapEvent(event: SignalEvent, options: MappingOptions): Mapped {
  const { warnings, warn } = collectWarnings();
  const rule = ruleFor(options.rules, event);
  if (rule?.drop) {
    warn('dropped_by_rule', 'a mapping rule drops this event: change MAPPING_FILE to have it sent');
    return { kind: 'dropped', warnings };
  }
  return { ...mapByType(event, options.eventNaming, rule, warn), warnings };
}

type Unwarned<T> = T extends unknown ? Omit<T, 'warnings'> : never;

function mapByType(event: SignalEvent, naming: EventNaming, rule: Rule | undefined, warn: Warn): Unwarned<Mapped> {
  switch (event.type) {
    case 'identify':
      return { kind: 'contact', ...buildContact(event, warn) };
    case 'group':
      return mapGroup(event, warn);
    case 'page':
      return mapPage(event, rule, warn);
    case 'track':
      return mapTrack(event, naming, rule, warn);
    default:
      return event.type satisfies never;
  }
}

function mapGroup(event: SignalEvent, warn: Warn): Unwarned<Mapped> {
  if (event.groupId === undefined) {
    warn('group_id_missing', 'a group without a groupId names no company: send groupId', 'groupId');
    return { kind: 'dropped' };
  }
  return { kind: 'company', companyId: event.groupId, ...buildCompany(event, warn) };
}

function mapPage(event: SignalEvent, rule: Rule | undefined, warn: Warn): Unwarned<Mapped> {
  const { url, title, path, referrer, search } = asObject(event.context.page);
  const seen = Object.entries(event.properties).filter(([, value]) => value !== null && value !== '');
  const properties = { url, title, path, referrer, name: event.name, search, ...Object.fromEntries(seen) };
  const metadata = buildMetadata(properties, pageEvent, rule?.metadata, warn);
  return { kind: 'event', eventName: rule?.rename ?? pageEventName, metadata };
}

function mapTrack(event: SignalEvent, naming: EventNaming, rule: Rule | undefined, warn: Warn): Unwarned<Mapped> {
  const sent = event.name ?? '';
  const eventName = rule?.rename ?? readEventName(sent, naming, warn);
  if (eventName === undefined) {
    warn('event_name_empty', 'nothing readable is left of the event name: send a name with letters', 'event');
    return { kind: 'dropped' };
  }
  return {
    kind: 'event',
    eventName,
    metadata: buildMetadata(event.properties, knownEvent(snakeCase(sent)), rule?.metadata, warn),
  };
}
