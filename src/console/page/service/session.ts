import { signal } from '@preact/signals';

const key = 'signal-intercom.admin-token';

/** The admin token lives as long as the tab, and nowhere but in it. */
export const adminToken = signal<string | null>(sessionStorage.getItem(key));
/** Why the page asks for the token again. */
export const signedOutBecause = signal<string | null>(null);

export function signIn(token: string): void {
  sessionStorage.setItem(key, token);
  signedOutBecause.value = null;
  adminToken.value = token;
}

export function signOut(reason: string | null = null): void {
  sessionStorage.removeItem(key);
  signedOutBecause.value = reason;
  adminToken.value = null;
}
