import { z } from 'zod';
import type { Attributes } from './attributes.ts';
import { toContact } from './contact.ts';
import type { ContactRecord, ContactStore } from './contact-store.ts';
import { paging, toPage } from './pages.ts';
import { isRefusal, ok, refuse, type Reply } from './replies.ts';
import { compileQuery } from './search-query.ts';
import type { Workspace } from './workspace.ts';

const SearchBody = z.object({
  query: z.unknown(),
  pagination: z.object({ per_page: z.int().positive().optional(), starting_after: z.string().nullish() }).nullish(),
});
const Equals = z.object({ field: z.enum(['email', 'external_id']), operator: z.literal('='), value: z.string() });
const And = z.object({ operator: z.literal('AND'), value: z.array(z.unknown()) });

/** `POST /contacts/search`, served from the delayed index. Archived, deleted and merged contacts are never found. */
export function createSearch({
  workspace,
  store,
  attributes,
}: {
  workspace: Workspace;
  store: ContactStore;
  attributes: Attributes;
}) {
  return function search(body: unknown): Reply {
    const parsed = SearchBody.safeParse(body);
    if (!parsed.success || parsed.data.query === undefined)
      return refuse(400, 'parameter_not_found', 'query not specified');
    const { query, pagination } = parsed.data;
    const matches = compileQuery(query, attributes);
    if (isRefusal(matches)) return matches;
    const found = [];
    for (const record of candidates(query) ?? store.all()) {
      const version = store.indexed(record);
      if (version?.status === 'live' && matches(version.fields)) found.push(version.fields);
    }
    const where = paging(pagination?.per_page ?? 50, pagination?.starting_after);
    return ok(toPage(found, where, (fields) => toContact(fields, workspace.id)));
  };

  /** Where the query asks for one email or external id, only the contacts that ever had it need a look. */
  function candidates(query: unknown): readonly ContactRecord[] | undefined {
    const equals = Equals.safeParse(query);
    if (equals.success) {
      const { field, value } = equals.data;
      return field === 'email' ? store.everWithEmail(value) : store.everWithExternalId(value);
    }
    const and = And.safeParse(query);
    if (!and.success) return undefined;
    for (const member of and.data.value) {
      const found = candidates(member);
      if (found) return found;
    }
    return undefined;
  }
}
