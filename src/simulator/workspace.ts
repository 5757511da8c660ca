import { randomBytes } from 'node:crypto';

export type Region = 'US' | 'Europe' | 'AU';
export type Workspace = ReturnType<typeof createWorkspace>;

/** The one admin of the workspace: the only owner that a contact may have. */
export const ADMIN_ID = 991267390;

/** Who the simulated workspace is: `GET /me`, its admin, its clock, and the ids that it hands out. */
export function createWorkspace({ region, now }: { region: Region; now: () => number }) {
  const process = randomBytes(5).toString('hex');
  const createdAt = seconds();
  let counter = 0;

  function seconds(): number {
    return Math.floor(now() / 1000);
  }

  return {
    id: 'sim12345',
    now,
    seconds,
    /** 24 hexadecimal characters, as Intercom's: the second, the process, a counter. */
    newId(): string {
      counter += 1;
      return seconds().toString(16).padStart(8, '0') + process + counter.toString(16).padStart(6, '0');
    },
    me: () => ({
      type: 'admin',
      id: String(ADMIN_ID),
      email: 'admin@simulator.example',
      name: 'Simulator Admin',
      email_verified: true,
      app: {
        type: 'app',
        id_code: 'sim12345',
        name: 'Intercom simulator',
        created_at: createdAt,
        secure: false,
        identity_verification: false,
        // Search matches dates by the workspace's calendar day; UTC keeps that readable.
        timezone: 'UTC',
        region,
      },
      avatar: { type: 'avatar', image_url: 'https://static.intercomassets.com/assets/default-avatars/admins/128.png' },
      has_inbox_seat: true,
    }),
  };
}
