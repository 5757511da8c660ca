import { hash } from 'node:crypto';

/** 128 bits of an installation's messageId: what is remembered of it. */
export function fingerprint(installation: string, messageId: string): Buffer {
  return hash('sha256', `${installation}\0${messageId}`, 'buffer').subarray(0, 16);
}
