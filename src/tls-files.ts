import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';

export type TlsFiles = Readonly<{ certFile: string; keyFile: string }>;

/** Throws an `Error` whose message names the variable and what is wrong with its file. */
export function readTls({ certFile, keyFile }: TlsFiles): { cert: Buffer; key: Buffer } {
  const cert = readNamed('TLS_CERT_FILE', certFile);
  const key = readNamed('TLS_KEY_FILE', keyFile);
  const certificate = attempt(
    () => new X509Certificate(cert),
    'TLS_CERT_FILE holds no certificate in PEM format (its own first, then those of its issuers)',
  );
  const privateKey = attempt(
    () => createPrivateKey(key),
    'TLS_KEY_FILE holds no private key in PEM format, or one with a passphrase',
  );
  if (!certificate.checkPrivateKey(privateKey)) throw new Error('TLS_KEY_FILE is not the key of TLS_CERT_FILE');
  attempt(() => createSecureContext({ cert, key }), 'TLS_CERT_FILE and TLS_KEY_FILE can not be used');
  return { cert, key };
}

function readNamed(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new Error(`${name} can't be read: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function attempt<T>(work: () => T, message: string): T {
  try {
    return work();
  } catch (error) {
    throw new Error(message, { cause: error });
  }
}
