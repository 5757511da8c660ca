/** PostgreSQL's text has no NUL, not even to be compared with: it is kept, and looked for, as another sign. */
export const storable = (text: string): string => text.replaceAll('\0', '\uFFFD');
