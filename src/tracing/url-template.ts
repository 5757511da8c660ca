/** The words in the paths that this service calls; whatever else stands in one is an id. */
const words = new Set([
  'archive',
  'companies',
  'contacts',
  'data_attributes',
  'events',
  'me',
  'merge',
  'search',
  'unarchive',
]);

/** A path without its ids and its query, so that spans of one kind have one name. */
export function urlTemplate(path: string): string {
  const [bare = ''] = path.split('?');
  return bare
    .split('/')
    .map((part) => (part === '' || words.has(part) ? part : '{id}'))
    .join('/');
}
