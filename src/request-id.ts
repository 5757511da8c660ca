import type { IncomingMessage } from 'node:http';

/**
 * The id that a proxy gave the request, or one of ours. It stands in log lines, so that only what can't be anything
 * but an id is taken from outside.
 */
export function createRequestIds(): (request: Pick<IncomingMessage, 'headers'>) => string {
  let made = 0;
  return ({ headers }) => {
    const given = headers['x-request-id'];
    if (typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given)) return given;
    made += 1;
    return `req-${made.toString(36)}`;
  };
}
