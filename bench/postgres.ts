/** Settings of a server as in production: what was acknowledged is on the disk. */
export const durable = { fsync: 'on', full_page_writes: 'on' };
