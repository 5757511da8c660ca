/** What /ingest answers, by status; a test makes the service give these answers. */

const noIdentifier = {
  code: 'missing_identifier',
  message: 'missing external_id or email: send userId, or an email in traits.email',
  path: 'userId',
};
const noName = { code: 'missing_field', message: 'event is required for track: send the event name', path: 'event' };
const tooLarge = {
  code: 'event_too_large',
  message: 'the event is larger than 64 KB: send fewer or shorter properties',
  path: '',
};
const wrongTime = {
  code: 'invalid_field',
  message: 'timestamp is no readable time: send ISO 8601 (2026-02-25T14:30:00.000Z) or Unix milliseconds',
  path: 'timestamp',
};
const wrongProperties = { code: 'invalid_field', message: 'properties must be an object', path: 'properties' };

const one = (event: object) => ({ accepted: 1, rejected: 0, events: [{ index: 0, ...event }] });
const refused = (event: object) => ({ accepted: 0, rejected: 1, events: [{ index: 0, ...event }] });
const problem = (status: number, title: string, code: string, detail: string) => ({
  type: `urn:signal-intercom:problem:${code}`,
  title,
  status,
  code,
  detail,
});

export const answerExamples = {
  200: {
    delivered: {
      summary: 'delivered with one call',
      value: one({
        id: 'evt_000000001',
        messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e01',
        status: 'delivered',
        intercom: { status: 200, calls: 1 },
      }),
    },
    duplicate: {
      summary: 'sent again by the sender, not to Intercom',
      value: one({
        id: 'evt_000000001',
        messageId: '5d3bc0de-6b2a-4b59-9f0e-0c1f6b7a9e01',
        status: 'duplicate',
        original: { id: 'evt_000000001', status: 'delivered' },
      }),
    },
    unchanged: {
      summary: 'an identify that tells Intercom nothing new',
      value: one({
        id: 'evt_000000002',
        messageId: 'm-2',
        status: 'delivered',
        reason: 'unchanged',
        intercom: { status: null, calls: 0 },
      }),
    },
    filtered: {
      summary: 'not sent, for want of consent',
      value: one({ id: 'evt_000000003', messageId: 'm-3', status: 'filtered', reason: 'consent_functional' }),
    },
  },
  202: {
    underWay: {
      summary: 'kept, under way',
      value: one({ id: 'evt_000000004', messageId: 'm-4', status: 'queued' }),
    },
    onHold: {
      summary: 'kept, while Intercom refuses the access token',
      value: one({ id: 'evt_000000005', messageId: 'm-5', status: 'queued', reason: 'hold_token_invalid' }),
    },
  },
  207: {
    mixed: {
      summary: 'one of three is kept',
      value: {
        accepted: 1,
        rejected: 2,
        events: [
          { index: 0, id: 'evt_000000006', messageId: 'm-6', status: 'delivered', intercom: { status: 202, calls: 1 } },
          { index: 1, status: 'rejected', error: noName },
          { index: 2, messageId: 'm-8', status: 'rejected', error: noIdentifier },
        ],
      },
    },
  },
  400: {
    nobody: {
      summary: 'neither a userId nor an email',
      value: {
        ...problem(400, 'Bad Request', 'invalid_event', noIdentifier.message),
        errors: [{ index: 0, ...noIdentifier }],
        ...refused({ messageId: 'm-9', status: 'rejected', error: noIdentifier }),
      },
    },
    invalidFields: {
      summary: 'several things are wrong',
      value: {
        ...problem(400, 'Bad Request', 'invalid_event', `${wrongProperties.message}; ${wrongTime.message}`),
        errors: [
          { index: 0, ...wrongProperties },
          { index: 0, ...wrongTime },
        ],
        ...refused({
          status: 'rejected',
          error: { ...wrongProperties, message: `${wrongProperties.message}; ${wrongTime.message}` },
        }),
      },
    },
    emptyBatch: {
      summary: 'a list without events',
      value: problem(400, 'Bad Request', 'empty_batch', 'the list of events is empty: send at least one event'),
    },
    invalidJson: {
      summary: 'no JSON',
      value: problem(400, 'Bad Request', 'invalid_json', 'the body is not valid JSON'),
    },
  },
  401: {
    wrongToken: {
      summary: 'no token, or a wrong one',
      value: problem(
        401,
        'Unauthorized',
        'unauthorized',
        'the credentials are missing or wrong: send what INGEST_TOKEN or INGEST_BASIC is set to, in the Authorization header',
      ),
    },
    wrongSignature: {
      summary: 'a signature that is not over this body',
      value: problem(
        401,
        'Unauthorized',
        'unauthorized',
        'the signature does not match the body: check that INGEST_HMAC_SECRET is the secret that the sender signs with',
      ),
    },
  },
  404: {
    unknownInstallation: {
      summary: 'an id that nothing is installed under',
      value: problem(
        404,
        'Not Found',
        'unknown_installation',
        'no installation int_0 is here; GET /v1/admin/integrations lists them with the path to send to. Nothing was kept',
      ),
    },
  },
  413: {
    eventTooLarge: {
      summary: 'an event of more than 64 KB',
      value: {
        ...problem(413, 'Payload Too Large', 'event_too_large', tooLarge.message),
        errors: [{ index: 0, ...tooLarge }],
        ...refused({ status: 'rejected', error: tooLarge }),
      },
    },
    tooManyEvents: {
      summary: 'more than 1000 events',
      value: problem(
        413,
        'Payload Too Large',
        'too_many_events',
        '1001 events in one request; at most 1000 are taken: send smaller batches',
      ),
    },
    bodyTooLarge: {
      summary: 'a body of more than 5 MB',
      value: problem(413, 'Payload Too Large', 'body_too_large', 'the body is larger than 5 MB: send smaller batches'),
    },
  },
  415: {
    notJson: {
      summary: 'another content type',
      value: problem(
        415,
        'Unsupported Media Type',
        'unsupported_media_type',
        'send JSON, with the header content-type: application/json',
      ),
    },
    unknownEncoding: {
      summary: 'another compression',
      value: problem(
        415,
        'Unsupported Media Type',
        'unsupported_encoding',
        'Content-Encoding zstd is not supported: send gzip, deflate, br, or no encoding',
      ),
    },
  },
  422: {
    refused: {
      summary: 'refused by Intercom for good',
      value: {
        ...problem(
          422,
          'Unprocessable Entity',
          'refused_by_intercom',
          'Intercom refused every event for good; they are kept as dead letters',
        ),
        errors: [{ index: 0, code: 'invalid_request', message: 'Intercom refused it for good (invalid_request)' }],
        ...one({
          id: 'evt_000000007',
          messageId: 'm-10',
          status: 'dead',
          reason: 'invalid_request',
          intercom: { status: 422, calls: 1 },
        }),
      },
    },
  },
  429: {
    overloaded: {
      summary: 'too much at once',
      value: problem(
        429,
        'Too Many Requests',
        'overloaded',
        'more events arrive than the disk can take; nothing was kept, send again later',
      ),
    },
  },
  503: {
    noInstallation: {
      summary: 'no Intercom workspace is installed',
      value: problem(
        503,
        'Service Unavailable',
        'no_installation',
        'no Intercom workspace is installed: set INTERCOM_ACCESS_TOKEN and INTERCOM_REGION and start again, or install one (POST /v1/admin/integration-catalog/intercom/install); nothing was kept',
      ),
    },
    cannotStore: {
      summary: 'the disk is full',
      value: problem(
        503,
        'Service Unavailable',
        'cannot_store',
        "the event can't be stored now (the disk is full); nothing was kept, send again later",
      ),
    },
  },
};
