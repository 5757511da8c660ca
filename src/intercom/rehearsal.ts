import { z } from 'zod';
import type { Call, IntercomClient, Reply } from './client.ts';
import { companyIdIn, companyKey } from './companies.ts';
import { openRecord } from './contact-record.ts';

/**
 * Intercom on a good day, without Intercom: what is said to it is answered as a workspace would that has what it
 * should have. Ids that only Intercom could give are named after what they are.
 */
export function createDryClient(options: {
  /** The attributes that are known to be there; undefined where nobody knows. */
  attributes(model: 'contact' | 'company'): string[] | undefined;
  /** The records that belong to no person. */
  shared(key: string): Promise<string | null>;
  /** One call that is answered otherwise, the first time that it comes. */
  surprise?: Surprise | undefined;
}): IntercomClient {
  let { surprise } = options;

  async function answer({ method, path, body }: Call): Promise<Reply> {
    if (surprise && surprise.path === path && JSON.stringify(surprise.body) === JSON.stringify(body)) {
      const { status, message } = surprise.answer;
      const found = surprise.answer.found;
      surprise = undefined;
      if (found !== undefined) return reply(status, { data: [found] });
      return reply(status, {}, [{ code: status === 404 ? 'not_found' : 'conflict', message }]);
    }
    if (path.startsWith('/data_attributes?')) {
      const names = options.attributes(path.endsWith('company') ? 'company' : 'contact');
      return names ? reply(200, { data: names.map((name) => ({ name })) }) : reply(503, {});
    }
    if (path === '/events') return reply(202, undefined);
    if (path === '/contacts/search') return reply(200, { data: [] });
    if (path === '/companies') {
      const { company_id: companyId } = CompanyBody.parse(body);
      const known = await options.shared(companyKey(companyId));
      return reply(200, { id: known === null ? placeholders.company : companyIdIn(known) });
    }
    return reply(200, { id: method === 'PUT' ? path.slice('/contacts/'.length) : placeholders.newContact });
  }

  return {
    async call(request) {
      await request.mayGo?.();
      return answer(request);
    },
    close: () => Promise.resolve(),
  };
}

const CompanyBody = z.object({ company_id: z.string() });

/** In letters that an address and Intercom's own messages take as an id. */
export const placeholders = {
  newContact: 'id_of_the_new_contact',
  existingContact: 'id_of_the_existing_contact',
  foundContact: 'id_of_the_found_contact',
  company: 'id_of_the_company',
} as const;

export type Surprise = {
  path: string;
  body: unknown;
  answer: { status: number; message: string; found?: { id: string; role: string } };
};

type Said = { method: string; path: string; body?: unknown };

/** A call whose answer decides on the next ones, and that other answer. */
export type Fork = { when: string; surprise: Surprise };

/**
 * Where Intercom may well know more than this service does. That it may have lost what is known is left out: it is
 * repaired as well, but nobody should have to read of it with every call.
 */
export function forkOf(work: { record: string | null; joined: string[] }, calls: Said[], at: number): Fork | undefined {
  const { path, body } = calls[at]!;
  const surprise = (answer: Surprise['answer']): Surprise => ({ path, body, answer });
  if (path === '/contacts/search') {
    const found = { id: placeholders.foundContact, role: 'lead' };
    return { when: 'Intercom finds a lead', surprise: surprise({ status: 200, message: '', found }) };
  }
  if (path.startsWith('/contacts') && hasKey(body, 'external_id')) {
    const message = `A contact matching those details already exists with id=${placeholders.existingContact}`;
    return { when: 'Intercom answers 409: the user exists', surprise: surprise({ status: 409, message }) };
  }
  const isMade = calls.slice(0, at).some((earlier) => earlier.path.startsWith('/contacts'));
  if (path === '/events' && hasKey(body, 'user_id') && !isMade && !openRecord(work.record, work.joined).exists) {
    const message = 'User Not Found';
    return { when: 'Intercom answers 404: there is no such user', surprise: surprise({ status: 404, message }) };
  }
  return undefined;
}

function hasKey(body: unknown, key: string): boolean {
  return typeof body === 'object' && body !== null && key in body;
}

function reply(status: number, body: unknown, errors: { code: string; message: string }[] = []): Reply {
  const timing = { startedAt: performance.now(), ms: 0 };
  return { kind: 'answer', status, body, isJson: body !== undefined, errors, requestId: null, ...timing };
}
