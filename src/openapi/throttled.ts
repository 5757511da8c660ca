/** Wherever the admin token is asked for, wrong ones from one address are slowed down. */
const tooManyFailures = {
  description:
    'Too many requests with a wrong admin token came from this address. The right one is let in at any time.',
  headers: {
    'Retry-After': { description: 'Seconds.', required: true, schema: { type: 'integer', minimum: 1 } },
  },
};

type Operation = { security?: readonly object[]; responses: Record<string, unknown> };

export function withThrottling(paths: Record<string, object>): Record<string, object> {
  return Object.fromEntries(
    Object.entries(paths).map(([path, item]) => [
      path,
      Object.fromEntries(
        Object.entries(item).map(([key, value]) => [key, isGuarded(value) ? throttled(value) : value]),
      ),
    ]),
  );
}

function isGuarded(value: unknown): value is Operation {
  const { security, responses } = (value ?? {}) as Partial<Operation>;
  return responses !== undefined && (security ?? []).some((scheme) => 'admin' in scheme);
}

const throttled = (operation: Operation): Operation => ({
  ...operation,
  responses: { 429: tooManyFailures, ...operation.responses },
});
