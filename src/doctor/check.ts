/** One thing that was looked at. Its texts hold no secret and no personal data. */
export type Check = {
  name: string;
  /** `skipped`: it can't be judged before something else is mended. */
  status: 'ok' | 'warn' | 'fail' | 'skipped';
  message: string;
  remedy?: string;
};

export const ok = (name: string, message: string): Check => ({ name, status: 'ok', message });
export const warn = (name: string, message: string, remedy: string): Check => ({
  name,
  status: 'warn',
  message,
  remedy,
});
export const fail = (name: string, message: string, remedy: string): Check => ({
  name,
  status: 'fail',
  message,
  remedy,
});
export const skipped = (names: string[], message: string): Check[] =>
  names.map((name) => ({ name, status: 'skipped', message }));

export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
