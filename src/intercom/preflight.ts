import { z } from 'zod';
import type { IntercomClient, Patience, Reply } from './client.ts';
import { judge, type HoldReason } from './outcome.ts';
import { remedyFor } from './reach.ts';

/** What `GET /me` tells of the token: whose workspace, in which region; or why nothing can be sent. */
export type Preflight =
  | { ok: true; workspace: { id: string; name: string; region: string | null } }
  | { ok: false; reason: HoldReason | 'unreachable'; message: string; remedy: string };

const Me = z.object({
  app: z.object({ id_code: z.string().nullish(), name: z.string().nullish(), region: z.string().nullish() }).nullish(),
});

/** Intercom has answered `US`, `Europe` and `AU`, and documents `EU`. */
const regionNames: Record<string, string> = { us: 'us', eu: 'eu', europe: 'eu', au: 'au', australia: 'au' };

export async function checkInstallation(
  client: IntercomClient,
  configuredRegion: string | null,
  patience: Patience,
): Promise<Preflight> {
  const reply = await client.call({ method: 'GET', path: '/me', patience, urgent: true });
  const verdict = judge(reply);
  if (verdict.kind === 'done') return checkRegion(verdict.body, configuredRegion);
  if (verdict.kind === 'hold') return { ok: false, reason: verdict.reason, ...holdTexts[verdict.reason] };
  const isWayClosed = reply.kind === 'no_answer' && !reply.sent;
  const toDo = isWayClosed ? remedyFor(reply.code) : 'check the network and status.intercom.com if it lasts';
  return {
    ok: false,
    reason: 'unreachable',
    message: `Intercom could not be reached: ${heardOf(reply)}`,
    remedy: `nothing is lost and delivery resumes by itself; ${toDo}`,
  };
}

function heardOf(reply: Reply): string {
  if (reply.kind === 'answer') return `it answered ${reply.status}`;
  return reply.sent ? `there was no answer (${reply.code})` : `there is no connection to it (${reply.code})`;
}

function checkRegion(body: unknown, configuredRegion: string | null): Preflight {
  const me = Me.safeParse(body);
  if (!me.success || !me.data.app) {
    return {
      ok: false,
      reason: 'unreachable',
      message: 'what answers at the Intercom address is not the Intercom API',
      remedy: 'check INTERCOM_API_URL, or leave it out',
    };
  }
  const { id_code, name, region } = me.data.app;
  const actual = regionNames[(region ?? '').toLowerCase()];
  if (actual !== undefined && configuredRegion !== null && actual !== configuredRegion) {
    return {
      ok: false,
      reason: 'wrong_region',
      message: `the access token belongs to a workspace in the region ${actual}, and INTERCOM_REGION says ${configuredRegion}`,
      remedy: `set INTERCOM_REGION=${actual}, or use a token of a workspace in ${configuredRegion}`,
    };
  }
  return {
    ok: true,
    workspace: { id: id_code ?? 'unknown', name: name ?? 'unknown', region: actual ?? region ?? null },
  };
}

/** What happened and what to do, for each reason to hold an installation. */
export const holdTexts: Record<HoldReason, { message: string; remedy: string }> = {
  token_invalid: {
    message: 'Intercom does not accept the access token, or it belongs to another region',
    remedy:
      'copy the token anew from Intercom (Settings > Integrations > Developer Hub > your app > Authentication) to where it is configured (the console, or INTERCOM_ACCESS_TOKEN), and check that the region (INTERCOM_REGION) is where the workspace is hosted',
  },
  token_scope: {
    message: 'the access token lacks a permission',
    remedy:
      'give the app in the Developer Hub permission to read and write users, companies and events, and copy its new token',
  },
  plan_restricted: {
    message: 'the plan of the Intercom workspace does not allow this',
    remedy: 'check the subscription of the workspace in Intercom under Settings > Billing',
  },
  forbidden: {
    message: 'Intercom forbids the call',
    remedy: 'check the permissions of the app in the Developer Hub',
  },
  version_invalid: {
    message: 'Intercom does not know the API version',
    remedy: 'set INTERCOM_VERSION=2.11, or leave it out',
  },
  wrong_region: {
    message: 'the access token belongs to a workspace in another region',
    remedy: 'set INTERCOM_REGION to the region of the workspace',
  },
};
