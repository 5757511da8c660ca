export type Refusal = {
  status: 404 | 409 | 422 | 502;
  code: string;
  message: string;
  field?: string;
  details?: { field: string; message: string }[];
};

/** A management action that can't be done; the message says what to change. */
export class InstallationError extends Error {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.message);
    this.name = 'InstallationError';
    this.refusal = refusal;
  }
}

const fixedByEnvironment = 'MANAGED_BY_ENVIRONMENT';

export const refusals = {
  unknown: (id: string): Refusal => ({
    status: 404,
    code: 'NOT_FOUND',
    message: `no integration ${id.slice(0, 40)} is installed; GET /v1/admin/integrations lists them`,
  }),
  nameTaken: (name: string, by: string): Refusal => ({
    status: 409,
    code: 'DUPLICATE_NAME',
    message: `an integration named "${name}" is installed already (${by}): choose another name, or change that one with PATCH /v1/admin/integrations/${by}`,
    field: 'name',
  }),
  /** What Intercom says of a token that is to be installed. */
  notWell({ reason, message, remedy }: { reason: string; message: string; remedy: string }): Refusal {
    const isTheirs = reason === 'unreachable';
    return {
      status: isTheirs ? 502 : 422,
      code: isTheirs ? 'INTERCOM_UNREACHABLE' : reason.toUpperCase(),
      message: `${message}: ${remedy}`,
      field: reason === 'wrong_region' ? 'config.region' : 'config.access_token',
    };
  },
  changedByEnvironment: {
    status: 409,
    code: fixedByEnvironment,
    message:
      'this integration is configured by INTERCOM_ACCESS_TOKEN and INTERCOM_REGION: change them and restart the service, or install a second one',
    field: 'config',
  },
  removedByEnvironment: {
    status: 409,
    code: fixedByEnvironment,
    message: 'this integration is configured by INTERCOM_ACCESS_TOKEN: unset it and restart the service to remove it',
  },
  eventsQueued: (queued: number): Refusal => ({
    status: 409,
    code: 'EVENTS_QUEUED',
    message: `${queued} events wait for this integration: wait until they are delivered, or remove it with ?discard=true, which filters them as installation_removed`,
  }),
} satisfies Record<string, Refusal | ((...given: never[]) => Refusal)>;
