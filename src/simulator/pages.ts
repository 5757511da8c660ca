/** Where in a list to read: by page number (`page`) or by the cursor of the page before (`starting_after`). */
export type Paging = { perPage: number; offset: number };

const LARGEST_PAGE = 150;

export function readPaging(query: URLSearchParams, defaultPerPage: number): Paging {
  const perPage = positive(query.get('per_page')) ?? defaultPerPage;
  return paging(perPage, query.get('starting_after'), positive(query.get('page')));
}

/** Inferred: a page larger than the largest is cut down to it rather than refused. */
export function paging(perPage: number, cursor?: string | null, page?: number): Paging {
  const size = Math.min(perPage, LARGEST_PAGE);
  return { perPage: size, offset: fromCursor(cursor) ?? ((page ?? 1) - 1) * size };
}

export function toPage<Item, Shown>(items: readonly Item[], { perPage, offset }: Paging, show: (item: Item) => Shown) {
  const page = Math.floor(offset / perPage) + 1;
  const next = offset + perPage;
  return {
    type: 'list',
    data: items.slice(offset, next).map(show),
    total_count: items.length,
    pages: {
      type: 'pages',
      ...(next < items.length && { next: { page: page + 1, starting_after: toCursor(next) } }),
      page,
      per_page: perPage,
      total_pages: Math.ceil(items.length / perPage),
    },
  };
}

function positive(text: string | null): number | undefined {
  const value = Number(text);
  return Number.isInteger(value) && value > 0 ? value : undefined;
}

// Intercom's cursors are opaque, so nobody may take ours for an offset either.
function toCursor(offset: number): string {
  return Buffer.from(`after:${offset}`).toString('base64url');
}

function fromCursor(cursor: string | null | undefined): number | undefined {
  if (!cursor) return undefined;
  return positive(Buffer.from(cursor, 'base64url').toString().replace('after:', ''));
}
