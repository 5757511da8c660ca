import type { Attributes } from './attributes.ts';
import type { Companies } from './companies.ts';
import type { Contacts } from './contacts.ts';
import type { Events } from './events.ts';
import { ok, type Reply } from './replies.ts';
import type { Workspace } from './workspace.ts';

/** Where a request goes: the endpoint with its ids taken out, the ids, the query. */
export type Route = { endpoint: string; ids: string[]; path: string; query: URLSearchParams };
export type Handler = (route: Route, body: Record<string, unknown>) => Reply;

// In a path, names and ids take turns, but for these.
const NAMES = new Set(['search', 'merge', 'bulk', 'list', 'scroll', 'summaries', 'find_by_external_id']);
const NO_QUERY = new URLSearchParams();

export function toRoute(method: string, url: string): Route {
  const [path = '/', query] = url.split('?', 2);
  const ids: string[] = [];
  let endpoint = `${method} `;
  let idIsNext = false;
  for (const segment of path.split('/').slice(1)) {
    const isId: boolean = idIsNext && segment !== '' && !NAMES.has(segment);
    if (isId) ids.push(decode(segment));
    endpoint += isId ? '/{id}' : `/${segment}`;
    idIsNext = !isId;
  }
  return { endpoint, ids, path: url, query: query === undefined ? NO_QUERY : new URLSearchParams(query) };
}

/** Percent-decoded, or as it is where that is impossible. */
export function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The endpoints of version 2.11 that belong to contacts, events, companies and attributes. */
export function createRoutes({
  workspace,
  contacts,
  search,
  events,
  listEvents,
  companies,
  attributes,
}: {
  workspace: Workspace;
  contacts: Contacts;
  search: (body: unknown) => Reply;
  events: Events;
  listEvents: (query: URLSearchParams, path: string) => Reply;
  companies: Companies;
  attributes: Attributes;
}): Map<string, Handler> {
  return new Map<string, Handler>([
    ['GET /me', () => ok(workspace.me())],
    ['POST /contacts', (_, body) => contacts.create(body)],
    ['GET /contacts', ({ query }) => contacts.list(query)],
    ['POST /contacts/search', (_, body) => search(body)],
    ['POST /contacts/merge', (_, body) => contacts.merge(body)],
    ['GET /contacts/find_by_external_id/{id}', ({ ids }) => contacts.readByExternalId(first(ids))],
    ['GET /contacts/{id}', ({ ids }) => contacts.read(first(ids))],
    ['PUT /contacts/{id}', ({ ids }, body) => contacts.update(first(ids), body)],
    ['DELETE /contacts/{id}', ({ ids }) => contacts.remove(first(ids))],
    ['POST /contacts/{id}/archive', ({ ids }) => contacts.archive(first(ids))],
    ['POST /contacts/{id}/unarchive', ({ ids }) => contacts.unarchive(first(ids))],
    ['GET /contacts/{id}/companies', ({ ids, query }) => companies.listOfContact(first(ids), query)],
    ['POST /contacts/{id}/companies', ({ ids }, body) => companies.attach(first(ids), body)],
    ['DELETE /contacts/{id}/companies/{id}', ({ ids }) => companies.detach(first(ids), ids[1] ?? '')],
    ['POST /events', (_, body) => events.submit(body)],
    ['GET /events', ({ query, path }) => listEvents(query, path)],
    ['POST /companies', (_, body) => companies.upsert(body)],
    ['GET /companies', ({ query }) => companies.list(query)],
    ['POST /companies/list', ({ query }) => companies.list(query)],
    ['GET /companies/{id}', ({ ids }) => companies.read(first(ids))],
    ['PUT /companies/{id}', ({ ids }, body) => companies.update(first(ids), body)],
    ['DELETE /companies/{id}', ({ ids }) => companies.remove(first(ids))],
    ['GET /companies/{id}/contacts', ({ ids, query }) => companies.contactsOf(first(ids), query)],
    ['GET /data_attributes', ({ query }) => attributes.list(query)],
    ['POST /data_attributes', (_, body) => attributes.create(body)],
    ['PUT /data_attributes/{id}', ({ ids }, body) => attributes.update(first(ids), body)],
  ]);
}

function first(ids: string[]): string {
  return ids[0] ?? '';
}
