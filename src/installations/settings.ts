import { z } from 'zod';

/** What is stored of an installation; its access token only sealed. */
export const Settings = z.object({
  name: z.string(),
  variant: z.string(),
  deliveryMode: z.literal('server_side'),
  managedBy: z.enum(['environment', 'api']),
  region: z.enum(['us', 'eu', 'au']).nullable(),
  /** Null where the environment has it. */
  sealedToken: z.string().nullable(),
  /** The last characters of the token, to recognise it by. */
  tokenEnd: z.string(),
  enabled: z.boolean(),
  /** It is being removed: nothing is accepted for it, nor sent. */
  isLeaving: z.boolean().optional(),
  revision: z.object({ id: z.string(), number: z.int(), createdAtMs: z.number() }),
  workspace: z.object({ id: z.string(), name: z.string(), region: z.string().nullable() }).nullable(),
  createdAtMs: z.number(),
  updatedAtMs: z.number(),
});
export type Settings = z.infer<typeof Settings>;

/** Enough to tell two tokens apart, too little to guess one by. */
export const endOf = (accessToken: string): string => (accessToken.length >= 16 ? accessToken.slice(-4) : '');

/** What a management action has changed, for the audit log; never a secret. */
export type Changes = Record<string, { old: unknown; new: unknown }>;

export function changesBetween(before: Settings | null, after: Settings | null): Changes {
  const seen = (settings: Settings | null): Record<string, unknown> =>
    settings === null
      ? {}
      : {
          name: settings.name,
          region: settings.region,
          access_token: `***${settings.tokenEnd}`,
          enabled: settings.enabled,
          revision_number: settings.revision.number,
        };
  const [old, next] = [seen(before), seen(after)];
  return Object.fromEntries(
    Object.keys({ ...old, ...next })
      .filter((key) => old[key] !== next[key])
      .map((key) => [key, { old: old[key] ?? null, new: next[key] ?? null }]),
  );
}
