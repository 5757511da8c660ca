import type { KeptEvent } from '../service/event.ts';

/** What the list can be narrowed by, as the service names it. */
export const filterNames = [
  'status',
  'type',
  'name',
  'userId',
  'email',
  'messageId',
  'reason',
  'text',
  'installation',
] as const;
export type FilterName = (typeof filterNames)[number];
export type Filters = Partial<Record<FilterName, string>>;

export function readFilters(query: ReadonlyMap<string, string>): Filters {
  return Object.fromEntries(filterNames.flatMap((name) => (query.has(name) ? [[name, query.get(name)]] : [])));
}

/** The query of `GET /events`. */
export function listQuery(filters: Filters, page: Record<string, string> = {}): string {
  return new URLSearchParams({ ...filters, ...page }).toString();
}

/**
 * The query of the stream: without what changes while an event is under way. A row that is queued has to be told
 * that it is so no longer.
 */
export function streamQuery({ status: _status, reason: _reason, ...lasting }: Filters): string {
  return new URLSearchParams(lasting).toString();
}

/** The rest of the filter, which the stream did not do. */
export function fits({ status, reason }: Filters, event: KeptEvent): boolean {
  return (status === undefined || event.status === status) && (reason === undefined || event.reason === reason);
}
