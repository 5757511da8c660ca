import { randomBytes } from 'node:crypto';

export const newId = (prefix: 'int' | 'rev'): string => `${prefix}_${randomBytes(8).toString('hex')}`;
