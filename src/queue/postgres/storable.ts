/** PostgreSQL's text has no NUL, not even to be compared with: it is kept, and looked for, as another sign. */
export function storable(text: string): string;
export function storable(text: string | null): string | null;
export function storable(text: string | null): string | null {
  return text?.replaceAll('\0', '\uFFFD') ?? null;
}
