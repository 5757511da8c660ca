import * as fc from 'fast-check';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';

/** What is sent: a request of the given kind, or bytes that may be none. */
export type Input =
  | { kind: 'request'; method: string; path: string; headers: Record<string, string>; body: Buffer | null }
  | { kind: 'bytes'; bytes: Buffer };

/** Values that have broken programs of this sort before. */
const nasty: unknown[] = [
  null,
  true,
  '',
  ' ',
  '\0',
  '\ud800',
  '\udfff\ud800',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '\r\nset-cookie: a=b',
  '\u001b[31m',
  "'; DROP TABLE event; --",
  '<img src=x onerror=alert(1)>',
  '${7*7}',
  'x'.repeat(600),
  'y'.repeat(3000),
  'é'.repeat(300),
  '👩‍👩‍👧‍👦'.repeat(90),
  0,
  -0,
  -1,
  1e21,
  1e308,
  5e-324,
  Number.MAX_SAFE_INTEGER + 2,
  253_402_300_799_999,
  '99999999999999999999',
  '2026-02-30T00:00:00Z',
  '+275760-09-13T00:00:00.000Z',
  'a@b',
  'A@B.example',
  'a'.repeat(64),
  '+491701234567',
  [],
  {},
  [[]],
  [null],
  { amount: 1.005, currency: 'JPY' },
  { amount: 'NaN', currency: 'xyz' },
  { categories: null, canonical: { functional: 'no' } },
  [{ product_id: 1, price: '12,50', quantity: -1 }],
];

const key = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...'name email phone plan total revenue value currency products items order_id url title createdAt avatar price quantity id'.split(
        ' ',
      ),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom('__proto__', 'constructor', 'toString', 'prototype', '', ' ', 'a.b', '$x', '\0'),
  },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
);
const leaf = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...nasty) },
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    { weight: 6, arbitrary: leaf },
    { weight: 1, arbitrary: fc.array(tie('tree'), { maxLength: 3 }) },
    { weight: 2, arbitrary: fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }).map(objectOf) },
  ),
}));
const object = fc.array(fc.tuple(key, tree), { maxLength: 5 }).map(objectOf);

/** Own keys, `__proto__` too. */
function objectOf(entries: [string, unknown][]): object {
  const made = {};
  for (const [name, value] of entries)
    Object.defineProperty(made, name, { value, enumerable: true, configurable: true, writable: true });
  return made;
}

const userId = fc.oneof(
  fc.integer({ min: 0, max: 500 }).map((n) => `u-${n}`),
  leaf,
);
const consent = fc.oneof(
  fc.constant({ functional: true, marketing: true }),
  fc.constant({ categories: { C0003: true }, canonical: { functional: true } }),
  tree,
);
const likely = {
  type: fc.constantFrom('track', 'page', 'identify', 'group', 'screen'),
  event: fc.constantFrom('Order Completed', 'Product Viewed', 'constructor', '__proto__', 'Signed Up'),
  name: fc.constantFrom('Home', 'Product'),
  userId,
  anonymousId: fc.integer({ min: 0, max: 300 }).map((n) => `a-${n}`),
  groupId: fc.integer({ min: 0, max: 50 }).map((n) => `g-${n}`),
  messageId: fc.uuid(),
  timestamp: fc
    .date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  properties: object,
  traits: object,
  context: fc.record({ consent, page: tree, traits: tree }, { requiredKeys: [] }),
};
const names = Object.keys(likely);

/** An event, of which some fields are left out, and some are anything. */
const event = fc
  .tuple(
    fc.record(likely, { requiredKeys: ['type', 'event', 'userId'] }),
    fc.array(fc.tuple(fc.constantFrom(...names), tree), { maxLength: 2 }),
  )
  .map(([made, changes]) => ({ ...made, ...Object.fromEntries(changes) }));

const single = event.map((made) => JSON.stringify(made));
const wrapped = fc
  .tuple(fc.array(event, { minLength: 0, maxLength: 6 }), fc.constantFrom('batch', 'events', 'array', 'data'))
  .map(([events, form]) => JSON.stringify(form === 'array' ? events : { [form]: events, sentAt: 'x' }));
/** JSON with some bytes that are something else. */
const damaged = fc
  .tuple(
    single,
    fc.array(fc.tuple(fc.nat(), fc.constantFrom('flip', 'cut', 'double', 'end'), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([text, cuts]) => cuts.reduce(damage, Buffer.from(text)));

function damage(bytes: Buffer, [at, how, value]: [number, string, number]): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  if (how === 'end') return bytes.subarray(0, place);
  if (how === 'cut') return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + 1)]);
  if (how === 'double') return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place)]);
  return Buffer.concat([bytes.subarray(0, place), Buffer.from([value]), bytes.subarray(place + 1)]);
}

const body = fc.oneof(
  { weight: 10, arbitrary: single.map((text) => Buffer.from(text)) },
  { weight: 4, arbitrary: wrapped.map((text) => Buffer.from(text)) },
  { weight: 4, arbitrary: damaged },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: tree.map((value) => Buffer.from(JSON.stringify(value) ?? '')) },
);

const encoding = fc.constantFrom(
  ...Array<string>(20).fill(''),
  'gzip',
  'deflate',
  'br',
  'identity',
  'constructor',
  'gzip-lie',
  'zstd',
);
const encoders: Record<string, ((bytes: Buffer) => Buffer) | undefined> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
};

/** What Node's client lets through as the value of a header. */
const headerValue = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc
    .uint8Array({ maxLength: 40 })
    .map((bytes) => Buffer.from(bytes.map((byte) => (byte < 32 || byte === 127 ? 46 : byte))).toString('latin1')),
  fc.constantFrom(
    '',
    '0',
    '-1',
    '9'.repeat(30),
    'constructor',
    'wait=99999999999',
    'respond-async',
    'x'.repeat(2000),
    'sha256=',
    'v1,',
    'Bearer ',
    'Basic =',
    'text/html',
  ),
);
const headerName = fc.oneof(
  fc.constantFrom(
    'prefer',
    'webhook-id',
    'idempotency-key',
    'webhook-signature',
    'webhook-timestamp',
    'x-signature',
    'x-timestamp',
    'authorization',
    'content-type',
    'content-encoding',
    'accept',
    'accept-encoding',
    'traceparent',
    'x-request-id',
    'if-none-match',
    'last-event-id',
    'cookie',
    'x-forwarded-for',
  ),
  fc.stringMatching(/^x-[a-z]{1,12}$/),
);
const moreHeaders = fc.oneof(
  { weight: 3, arbitrary: fc.constant([]) },
  { weight: 1, arbitrary: fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 }) },
);

const ingest = fc
  .tuple(
    body,
    encoding,
    moreHeaders,
    fc.constantFrom('POST', 'POST', 'POST', 'PUT'),
    fc.constantFrom(...Array<string>(9).fill('/ingest'), '/ingest/default', '/explain', '/explain', '/ingest/none'),
  )
  .map(([bytes, name, more, method, path]): Input => ({
    kind: 'request',
    method: path === '/explain' ? 'POST' : method,
    path,
    headers: {
      'content-type': 'application/json',
      prefer: 'respond-async',
      ...(name !== '' && { 'content-encoding': name.replace('-lie', '') }),
      ...Object.fromEntries(more),
    },
    body: encoders[name]?.(bytes) ?? bytes,
  }));

const segment = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.constantFrom(
      'evt_000000001',
      'evt_',
      'evt_99999999999999999999',
      'user:u-1',
      'email:',
      'anon:\0',
      '..',
      '%',
      'constructor',
    ),
  )
  .map((text) => encodeURIComponent(text.toWellFormed()));
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'status',
        'type',
        'name',
        'userId',
        'email',
        'reason',
        'text',
        'from',
        'to',
        'limit',
        'cursor',
        'installation',
        'discard',
        'only',
      ),
      leaf,
    ),
    { maxLength: 4 },
  )
  .map((pairs) =>
    pairs
      .map(([name, value]) => `${name}=${encodeURIComponent(String(value).toWellFormed().slice(0, 1000))}`)
      .join('&'),
  );
const admin = fc
  .tuple(
    fc.constantFrom(
      'GET /events',
      'GET /events/:x',
      'POST /events/:x/redrive',
      'POST /events/redrive',
      'GET /events/summary',
      'GET /people/:x',
      'GET /v1/admin/integrations/:x',
      'PATCH /v1/admin/integrations/:x',
      'POST /v1/admin/integrations/:x/check',
      'POST /v1/admin/integration-catalog/:x/install',
      'GET /v1/admin/audit-log',
      'GET /v1/admin/overview',
      'GET /readyz',
      'GET /metrics',
      'GET /:x',
      'DELETE /:x',
    ),
    segment,
    query,
    body,
  )
  .map(([route, name, search, bytes]): Input => {
    const [method = '', path = ''] = route.split(' ');
    const hasBody = method === 'POST' || method === 'PATCH';
    return {
      kind: 'request',
      method,
      path: `${path.replace(':x', name)}?${search}`,
      headers: hasBody ? { 'content-type': 'application/json' } : {},
      body: hasBody ? bytes : null,
    };
  });

/** A request on the wire, of which some bytes are something else. */
const wire = fc
  .tuple(
    single,
    fc.array(fc.tuple(fc.nat({ max: 220 }), fc.constantFrom('flip', 'cut', 'double'), fc.nat({ max: 255 })), {
      maxLength: 3,
    }),
    fc.boolean(),
  )
  .map(([text, cuts, isChunked]): Input => {
    const length = Buffer.byteLength(text);
    const framing = isChunked ? 'transfer-encoding: chunked' : `content-length: ${length}`;
    const payload = isChunked ? `${length.toString(16)}\r\n${text}\r\n0\r\n\r\n` : text;
    const request = `POST /ingest HTTP/1.1\r\nhost: fuzz\r\ncontent-type: application/json\r\nprefer: respond-async\r\n${framing}\r\nconnection: close\r\n\r\n${payload}`;
    return { kind: 'bytes', bytes: cuts.reduce(damage, Buffer.from(request)) };
  });

export const input: fc.Arbitrary<Input> = fc.oneof(
  { weight: 80, arbitrary: ingest },
  { weight: 15, arbitrary: admin },
  { weight: 5, arbitrary: wire },
);

/** The same for the same seed; in pieces, so that a million need not be in memory at once. */
export function* inputs(count: number, seed: number): Generator<Input> {
  const piece = 500;
  for (let done = 0; done < count; done += piece)
    yield* fc.sample(input, { seed: seed + done, numRuns: Math.min(piece, count - done) });
}
