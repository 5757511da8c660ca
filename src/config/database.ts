import { z } from 'zod';

/** The URL holds a password: `describeDatabase` tells of it without. */
export type DatabaseSettings = Readonly<
  { kind: 'sqlite'; path: string } | { kind: 'postgres'; url: string; connections: number }
>;

const filePath = z
  .string()
  .startsWith('file:')
  .transform((url) => url.slice('file:'.length).replace(/^\/\//, ''));
export const databaseUrl = z
  .string()
  .refine((url) => /^(file|postgres|postgresql):/.test(url), {
    error: 'must be file:<path>, the embedded database, or postgres://user:password@host:5432/database',
  })
  .refine((url) => !url.startsWith('file:') || filePath.parse(url) !== '', {
    error: 'names no file: use file:./data/signal-intercom.db',
  })
  .refine((url) => url.startsWith('file:') || isPostgresUrl(url), {
    error:
      'is no URL of one PostgreSQL server: postgres://user:password@host:5432/database?sslmode=verify-full, with %40 for an @ in the password',
  });

export const databaseConnections = z.coerce.number().int().min(2).max(1000).default(10);

/** Of variables that were checked. */
export function readDatabase({
  DATABASE_URL: url,
  DATABASE_CONNECTIONS: connections,
}: {
  DATABASE_URL: string;
  DATABASE_CONNECTIONS: number;
}): DatabaseSettings {
  return Object.freeze(
    url.startsWith('file:')
      ? { kind: 'sqlite' as const, path: filePath.parse(url) }
      : { kind: 'postgres' as const, url, connections },
  );
}

/** The path that files beside the database begin with; null where there are none. */
export function pathBeside({ database }: { database: DatabaseSettings }): string | null {
  return database.kind === 'sqlite' ? database.path : null;
}

/** For logs and people: where the database is, without its user and password. */
export function describeDatabase(database: DatabaseSettings): string {
  if (database.kind === 'sqlite') return database.path;
  const { host, pathname, searchParams } = new URL(database.url);
  return `PostgreSQL at ${host || searchParams.get('host')}${pathname}`;
}

function isPostgresUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || url.hostname.includes(',')) return false; // libpq would take several hosts, this driver does not
  return (url.hostname !== '' || url.searchParams.has('host')) && url.pathname.length > 1;
}
