/** What an endpoint answers: a body, or a refusal that the edge wraps in Intercom's error envelope. */
export type Reply = Accepted | Refusal;
export type Accepted = { status: number; body: unknown };
export type Refusal = { readonly [refused]: true; status: number; code: string; message: string };

// A symbol and not a plain key, so that no request body can look like a refusal.
const refused: unique symbol = Symbol('refused');

export function refuse(status: number, code: string, message: string): Refusal {
  return { [refused]: true, status, code, message };
}

export function isRefusal(value: object): value is Refusal {
  return refused in value;
}

export function ok(body: unknown): Accepted {
  return { status: 200, body };
}

/** Recorded wording for contacts that are absent, archived, deleted or merged alike. */
export const userNotFound = () => refuse(404, 'not_found', 'User Not Found');
export const companyNotFound = () => refuse(404, 'company_not_found', 'Company Not Found');
export const badParameter = (name: string) => refuse(400, 'parameter_invalid', `bad '${name}' parameter`);

/** The documented envelope of every error that comes from the application itself. */
export function errorEnvelope(refusal: Refusal, requestId: string) {
  const { code, message } = refusal;
  return { type: 'error.list', request_id: requestId, errors: [{ code, message }] };
}

/** Code and message that go with a bare status. Documented where a text is known, else the status's own name. */
export function usualRefusal(status: number): Refusal {
  const [code, message] = USUAL[status] ?? (status < 500 ? ['client_error', 'Bad Request'] : USUAL_500);
  return refuse(status, code, message);
}

const USUAL_500 = ['server_error', 'Server Error'] as const;
const USUAL: Record<number, readonly [code: string, message: string]> = {
  400: ['parameter_invalid', 'The parameters are invalid'],
  401: ['unauthorized', 'Access Token Invalid'],
  402: ['api_plan_restricted', 'Active subscription needed.'],
  403: ['forbidden', 'Forbidden'],
  404: ['not_found', 'Resource Not Found'],
  406: ['media_type_not_acceptable', 'The Accept header should send a media type of application/json'],
  408: ['request_timeout', 'The server would not wait any longer for the client'],
  409: ['resource_conflict', 'Resource Conflict'],
  415: ['unsupported', 'The Content-Type header should send a media type of application/json'],
  422: ['unprocessable_entity', 'Unprocessable Entity'],
  429: ['too_many_requests', 'The server is receiving too many requests for this resource; retry later'],
  503: ['service_unavailable', 'Sorry, the API service is temporarily unavailable'],
  504: ['server_timeout', 'Server Timeout'],
};
