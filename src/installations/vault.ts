import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Access tokens at rest: AES-256-GCM, bound to the installation that they belong to, so that a sealed token copied to
 * another one's row does not open. The key's version stands in front: `v1.<key>.<nonce>.<sealed>`.
 */
export type Vault = {
  seal(secret: string, installation: string): string;
  /** Null where none of the keys opens it. */
  open(sealed: string, installation: string): string | null;
  /** Whether it is sealed with the newest key. */
  isCurrent(sealed: string): boolean;
};

const keyBytes = 32;
const nonceBytes = 12;
const tagBytes = 16;
const format = 'v1';

/** The first key seals; the others only open what was sealed before a rotation. */
export function createVault(keys: readonly [Buffer, ...Buffer[]]): Vault {
  const versions = new Map(keys.map((key) => [versionOf(key), key]));
  const [newest] = keys;

  return {
    seal(secret, installation) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv('aes-256-gcm', newest, nonce, { authTagLength: tagBytes });
      cipher.setAAD(Buffer.from(installation));
      const sealed = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final(), cipher.getAuthTag()]);
      return [format, versionOf(newest), nonce.toString('base64url'), sealed.toString('base64url')].join('.');
    },
    open(sealed, installation) {
      const [name, version = '', nonce = '', text = ''] = sealed.split('.');
      const key = versions.get(version);
      if (name !== format || key === undefined) return null;
      const bytes = Buffer.from(text, 'base64url');
      try {
        const options = { authTagLength: tagBytes };
        const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(nonce, 'base64url'), options);
        decipher.setAAD(Buffer.from(installation));
        decipher.setAuthTag(bytes.subarray(-tagBytes));
        return decipher.update(bytes.subarray(0, -tagBytes), undefined, 'utf8') + decipher.final('utf8');
      } catch {
        return null; // damaged, or another installation's
      }
    },
    isCurrent: (sealed) => sealed.split('.')[1] === versionOf(newest),
  };
}

/** A key as 64 hex digits or base64 of 32 bytes; undefined where it is neither. */
export function readKey(text: string): Buffer | undefined {
  const key = /^[0-9a-f]{64}$/i.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64');
  return key.length === keyBytes && /^[\w+/=-]+$/.test(text) ? key : undefined;
}

/** The configured keys, or one that is made once and kept beside the database, readable by its owner alone. */
export function loadVault(configured: readonly Buffer[], beside: string | null): Vault {
  const [newest, ...older] = configured;
  if (newest !== undefined) return createVault([newest, ...older]);
  if (beside === null) throw new Error('ENCRYPTION_KEY is missing');
  const path = `${beside}.key`;
  const kept = readKeyFile(path);
  if (kept !== undefined) return createVault([kept]);
  const key = randomBytes(keyBytes);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${key.toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  return createVault([key]);
}

function readKeyFile(path: string): Buffer | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const key = readKey(text);
  if (key === undefined)
    throw new Error(
      `${path} holds no key of 32 bytes: restore it from a backup, or delete it and enter the access tokens anew`,
    );
  return key;
}

const versionOf = (key: Buffer): string => createHash('sha256').update(key).digest('hex').slice(0, 8);
