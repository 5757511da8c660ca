import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Answer, Incoming } from './api.ts';
import { CONTROL_PATH, type Control } from './control.ts';
import type { Fault, Faults } from './faults.ts';
import type { CallRecord } from './record.ts';
import { refuse, usualRefusal, type Reply } from './replies.ts';
import { toRoute } from './routes.ts';

type Execute = (incoming: Incoming, instead?: Reply) => Answer;

/** The socket side: reads a request, records it, lets a fault strike it, and answers, at once or later. */
export function createListener({
  execute,
  control,
  record,
  faults,
  settings,
  now,
  race,
}: {
  execute: Execute;
  control: Control;
  record: CallRecord;
  faults: Faults;
  settings: { latencyMs: number };
  now: () => number;
  race: (body: unknown) => void;
}) {
  const timers = new Set<NodeJS.Timeout>();

  function listener(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString();
      const method = request.method ?? 'GET';
      const url = request.url ?? '/';
      if (url.startsWith(CONTROL_PATH)) write(response, control(method, url, text));
      else serve(receive(request, method, url, text), request, response);
    });
  }

  function receive(request: IncomingMessage, method: string, path: string, text: string): Incoming {
    const { headers } = request;
    const token = /^Bearer (.+)$/i.exec(headers.authorization ?? '')?.[1];
    if (headers.authorization !== undefined) headers.authorization = '[redacted]';
    const route = toRoute(method, path);
    const json = text === '' ? { value: undefined } : parse(text);
    const requestBody = json ? json.value : text;
    const call = record.add({ at: now(), method, path, endpoint: route.endpoint, requestBody, headers });
    return { call, token, route, isMalformed: json === undefined };
  }

  function serve(incoming: Incoming, request: IncomingMessage, response: ServerResponse): void {
    const fault = faults.take(incoming.call);
    if (fault === undefined) return answer(incoming, response, execute(incoming));
    incoming.call.fault = fault.kind;
    strike(fault, incoming, request, response);
  }

  function strike(fault: Fault, incoming: Incoming, request: IncomingMessage, response: ServerResponse): void {
    switch (fault.kind) {
      case 'status':
        return answer(incoming, response, statusAnswer(execute, incoming, fault));
      case 'html':
        return answer(incoming, response, htmlAnswer(fault.status));
      case 'rate_limited':
        return answer(incoming, response, execute(incoming, usualRefusal(429)));
      case 'company_race':
        race(incoming.call.requestBody);
        return answer(
          incoming,
          response,
          execute(incoming, refuse(400, 'unique_company_constraint', 'Company already exists.')),
        );
      case 'reset_before':
        request.socket.resetAndDestroy();
        return;
      case 'reset_after':
        execute(incoming);
        request.socket.resetAndDestroy();
        return;
      case 'hang':
        if (fault.ms === undefined) return;
        return later(fault.ms, () => {
          // Whoever has hung up meanwhile was never heard.
          if (!request.socket.destroyed) answer(incoming, response, execute(incoming));
        });
      case 'hang_after':
        execute(incoming);
        return;
      case 'slow': {
        const given = execute(incoming);
        if (fault.until === undefined) return answer(incoming, response, given, fault.ms);
        void fault.until.then(() => answer(incoming, response, given, fault.ms));
        return;
      }
      default:
        fault satisfies never;
    }
  }

  function answer({ call }: Incoming, response: ServerResponse, given: Answer, delayMs = 0): void {
    const totalMs = delayMs + settings.latencyMs;
    if (totalMs > 0) return later(totalMs, () => send());
    send();

    function send(): void {
      if (response.destroyed) return;
      call.status = given.status;
      call.responseBody = given.body;
      write(response, given);
    }
  }

  function later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      act();
    }, ms);
    timers.add(timer);
  }

  return {
    listener,
    /** Forgets the answers that are still to come. */
    stop(): void {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

function parse(text: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function statusAnswer(execute: Execute, incoming: Incoming, fault: Extract<Fault, { kind: 'status' }>): Answer {
  const { status, body, contentType, headers } = fault;
  const answer = execute(incoming, body === undefined ? usualRefusal(status) : { status, body });
  if (contentType !== undefined) answer.headers['Content-Type'] = contentType;
  Object.assign(answer.headers, headers);
  return answer;
}

/** What the load balancer in front of Intercom says when Intercom itself does not. */
function htmlAnswer(status: 403 | 502 | 504): Answer {
  const title = { 403: '403 Forbidden', 502: '502 Bad Gateway', 504: '504 Gateway Time-out' }[status];
  const payload = `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n<center><h1>${title}</h1></center>\r\n</body>\r\n</html>\r\n`;
  return { status, headers: { Server: 'awselb/2.0', 'Content-Type': 'text/html' }, body: payload, payload };
}

function write(
  response: ServerResponse,
  { status, headers, payload }: Pick<Answer, 'status' | 'headers' | 'payload'>,
): void {
  headers['Content-Length'] = String(Buffer.byteLength(payload));
  response.writeHead(status, headers);
  response.end(payload);
}
