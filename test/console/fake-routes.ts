import { createServer, type IncomingMessage, request as forward, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { request } from 'undici';

/**
 * Stands before the service and answers the routes of the console that the service does not have yet, out of what the
 * real ones tell. Goes when they come.
 */
export type Front = { url: string; integrations: Map<string, Installed>; overviewExtra: Record<string, unknown> };

type Installed = Record<string, unknown> & { id: string; name: string; status: string };
type Json = Record<string, any>; // oxlint-disable-line typescript/no-explicit-any

const catalog = {
  key: 'intercom',
  name: 'Intercom',
  description: 'Contacts, companies and timeline events in an Intercom workspace.',
  category: 'other',
  status: 'ga',
  website: 'https://www.intercom.com',
  config_fields: [
    {
      key: 'access_token',
      label: 'Access token',
      type: 'secret',
      required: true,
      placeholder: 'dG9rOj…',
      help_text: '',
    },
    {
      key: 'region',
      label: 'Region',
      type: 'select',
      required: true,
      options: [
        { value: 'us', label: 'United States' },
        { value: 'eu', label: 'Europe' },
        { value: 'au', label: 'Australia' },
      ],
      help_text: 'Where the workspace is hosted: Intercom shows it under Settings › Workspace › General.',
    },
  ],
  variants: [{ key: 'default', name: 'Default', description: '', default_config: { region: 'us' } }],
};

export async function startFront(
  t: Test | null,
  serviceUrl: string,
  adminToken: string,
): Promise<Front & { close(): void }> {
  const authorization = `Bearer ${adminToken}`;
  const integrations = new Map<string, Installed>([
    ['default', installed('default', 'Intercom', 'environment', 'us', 'oken')],
  ]);
  const overviewExtra: Record<string, unknown> = {};
  const audit: Json[] = [];

  const read = async (path: string): Promise<Json> =>
    JSON.parse(await (await request(serviceUrl + path, { headers: { authorization } })).body.text());

  async function hold() {
    const { dispatch } = await read('/readyz');
    return dispatch.ok || dispatch.reason === 'starting'
      ? null
      : {
          reason: dispatch.reason,
          message: dispatch.message,
          remedy: dispatch.remedy,
          since: new Date(Date.now() - 60_000).toISOString(),
        };
  }

  async function refreshed(): Promise<Installed[]> {
    const held = await hold();
    const own = integrations.get('default');
    if (own) Object.assign(own, { hold: held, status: own.status === 'paused' ? 'paused' : held ? 'held' : 'active' });
    return [...integrations.values()];
  }

  async function overview() {
    const metrics = await (await request(`${serviceUrl}/metrics`)).body.text();
    const value = (state: string) =>
      Number(new RegExp(`ledger_events\\{state="${state}"\\} (\\d+)`).exec(metrics)?.[1] ?? 0);
    const ledger = Object.fromEntries(
      ['accepted', 'delivered', 'filtered', 'dead', 'queued'].map((state) => [state, value(state)]),
    ) as Record<string, number>;
    const { data } = await read('/events?limit=200');
    const now = Math.floor(Date.now() / 60_000) * 60_000;
    const minutes = Array.from({ length: 60 }, (_, index) => {
      const at = now - (59 - index) * 60_000;
      const within = data.filter(
        (event: Json) => event.settledAt && Math.floor(Date.parse(event.settledAt) / 60_000) * 60_000 === at,
      );
      const number = (status: string) => within.filter((event: Json) => event.status === status).length;
      return {
        at: new Date(at).toISOString(),
        accepted: within.length,
        delivered: number('delivered'),
        filtered: number('filtered'),
        dead: number('dead'),
        retried: 0,
        calls: within.reduce((sum: number, event: Json) => sum + event.intercom.calls, 0),
      };
    });
    return {
      now: new Date().toISOString(),
      version: '0.1.0',
      ledger,
      backlog: {
        queued: ledger.queued,
        people: ledger.queued,
        waiting: 0,
        held: 0,
        oldestReceivedAt: ledger.queued ? new Date(Date.now() - 90_000).toISOString() : null,
        callsPerSecond: 12,
        expectedEndAt: null,
      },
      store: { ok: true, reason: null },
      minutes,
      saved: { merged: 3, unchanged: 5, knownIds: 21 },
      installations: (await refreshed()).map(({ id, name, status, hold: held }) => ({
        id,
        name,
        status,
        hold: held,
        quota: {
          limit: 1667,
          used: 412,
          windowEndsAt: new Date(Math.ceil(Date.now() / 10_000) * 10_000).toISOString(),
          waiting: 0,
        },
      })),
      ...overviewExtra,
    };
  }

  function stream(incoming: IncomingMessage, response: ServerResponse, query: string): void {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(': hello\n\n');
    const seen = new Map<string, string>();
    let id = 0;
    let isFirst = true;
    let last = '';
    const timer = setInterval(async () => {
      const { data = [] } = await read(`/events?${query}${query ? '&' : ''}limit=200`).catch(() => ({ data: [] }));
      for (const event of data.toReversed()) {
        const state = JSON.stringify(event);
        if (seen.get(event.id) === state) continue;
        seen.set(event.id, state);
        if (!isFirst) response.write(`id: ${(id += 1)}\nevent: event\ndata: ${state}\n\n`);
      }
      isFirst = false;
      const { ledger } = await overview().catch(() => ({ ledger: null }));
      if (ledger && JSON.stringify(ledger) !== last)
        response.write(`event: overview\ndata: ${(last = JSON.stringify(ledger))}\n\n`);
    }, 200);
    incoming.on('close', () => clearInterval(timer));
  }

  async function manage(method: string, path: string, body: Json): Promise<[number, unknown]> {
    const match = /^\/v1\/admin\/integrations\/([^/]+)(?:\/(\w+))?$/.exec(path);
    const note = (action: string, id: string, changes: Json) =>
      audit.unshift({
        id: `aud_${audit.length}`,
        action,
        resource_type: 'integration',
        resource_id: id,
        changes,
        ip_address: '127.0.0.1',
        user_agent: 'x',
        timestamp: new Date().toISOString(),
      });
    if (path === '/v1/admin/integration-catalog/intercom') return [200, catalog];
    if (path === '/v1/admin/integrations')
      return [200, { data: await refreshed(), next_cursor: null, has_more: false }];
    if (path === '/v1/admin/audit-log') return [200, { data: audit.slice(0, 10), next_cursor: null, has_more: false }];
    if (path.endsWith('/install')) {
      if (body.config.access_token === 'wrong') {
        const message = 'Intercom does not accept the access token: copy it anew from the Developer Hub';
        return [
          422,
          { error: { code: 'INVALID_CONFIG', message, details: [{ field: 'config.access_token', message }] } },
        ];
      }
      const one = installed(
        `int_${integrations.size}`,
        body.name,
        'api',
        body.config.region,
        body.config.access_token.slice(-4),
      );
      integrations.set(one.id, one);
      note('integration.install', one.id, { name: {}, 'config.access_token': {}, 'config.region': {} });
      return [201, one];
    }
    const [, id = '', action] = match ?? [];
    const one = integrations.get(id);
    if (!one) return [404, { error: { code: 'NOT_FOUND', message: 'there is no such integration' } }];
    if (action === 'check') {
      const held = id === 'default' ? await hold() : null;
      return [200, held ? { ok: false, ...held } : { ok: true, workspace: { name: 'Acme', region: 'us' } }];
    }
    if (action) one.status = action === 'pause' ? 'paused' : 'active';
    note(`integration.${action ?? (method === 'DELETE' ? 'delete' : 'update')}`, id, {});
    if (method === 'DELETE') integrations.delete(id);
    return method === 'DELETE' ? [204, null] : [200, one];
  }

  async function summary() {
    const groups = new Map<string, Json>();
    const { data } = await read('/events?status=dead&limit=200');
    for (const event of data) {
      const { explanation } = groups.has(event.reason) ? { explanation: null } : await read(`/events/${event.id}`);
      const group = groups.get(event.reason) ?? {
        reason: event.reason,
        status: 'dead',
        count: 0,
        newest: event.settledAt,
        explanation: explanation?.cause,
        remedy: explanation?.remedy,
        example: { id: event.id, name: event.name, type: event.type },
      };
      groups.set(event.reason, { ...group, count: group.count + 1, oldest: event.settledAt });
    }
    return { data: [...groups.values()] };
  }

  const server = createServer(async (incoming, response) => {
    const { pathname, search } = new URL(incoming.url ?? '/', 'http://x');
    const answer = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(body === null ? '' : JSON.stringify(body));
    const isFake =
      pathname.startsWith('/v1/admin/') || ['/events/stream', '/events/summary', '/explain'].includes(pathname);
    if (!isFake) {
      const onward = forward(
        serviceUrl + incoming.url,
        { method: incoming.method, headers: incoming.headers },
        (back) => {
          response.writeHead(back.statusCode ?? 502, back.headers);
          back.pipe(response);
        },
      );
      onward.on('error', () => response.destroy());
      incoming.pipe(onward);
      return;
    }
    if (incoming.headers.authorization !== authorization) {
      answer(401, { detail: 'send the admin token' });
      return;
    }
    let text = '';
    for await (const chunk of incoming) text += String(chunk);
    const body: Json = text ? JSON.parse(text) : {};
    if (pathname === '/events/stream') stream(incoming, response, search.slice(1));
    else if (pathname === '/events/summary') answer(200, await summary());
    else if (pathname === '/v1/admin/overview') answer(200, await overview());
    else if (pathname === '/explain') answer(200, explain(body));
    else answer(...(await manage(incoming.method ?? 'GET', pathname, body)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  t?.teardown(close);
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, integrations, overviewExtra, close };
}

function installed(id: string, name: string, managedBy: string, region: string, end: string): Installed {
  const at = new Date().toISOString();
  return {
    id,
    name,
    vendor: 'intercom',
    managed_by: managedBy,
    enabled: true,
    status: 'active',
    hold: null,
    workspace: { name: 'Acme', region },
    revision: {
      id: 'rev_1',
      revision_number: 1,
      config: { access_token: `***${end}`, region },
      delivery_mode: 'server_side',
      created_at: at,
    },
    ingest_path: id === 'default' ? '/ingest' : `/ingest/${id}`,
    created_at: at,
    updated_at: at,
  };
}

function explain(body: Json) {
  const events: Json[] = Array.isArray(body) ? body : (body.batch ?? body.events ?? [body]);
  return {
    events: events.map((event, index) => {
      const given = event.context?.consent?.functional ?? event.context?.consent?.canonical?.functional;
      const consent = {
        granted: given !== false,
        category: 'functional',
        form: given === undefined ? 'absent' : 'canonical',
        key: given === undefined ? null : 'functional',
        value: given ?? null,
      };
      if (!event.userId)
        return {
          index,
          messageId: null,
          type: event.type,
          status: 'rejected',
          reason: null,
          consent,
          person: null,
          calls: [],
          warnings: [],
          error: {
            code: 'missing_identifier',
            message: 'missing external_id or email: send userId, or an email in traits.email',
            path: '',
          },
        };
      const isIdentify = event.type === 'identify';
      return {
        index,
        messageId: event.messageId ?? 'hash-1',
        type: event.type,
        status: consent.granted ? 'would_send' : 'would_filter',
        reason: consent.granted ? null : 'consent_functional',
        consent,
        person: `user:${event.userId}`,
        calls: consent.granted
          ? [
              isIdentify
                ? {
                    method: 'POST',
                    path: '/contacts',
                    body: { role: 'user', external_id: event.userId, ...event.traits },
                    note: 'a new contact; if it exists, it is updated',
                  }
                : {
                    method: 'POST',
                    path: '/events',
                    body: {
                      event_name: event.event ?? 'page_viewed',
                      created_at: 1772029800,
                      user_id: event.userId,
                      metadata: event.properties,
                    },
                    note: null,
                  },
            ]
          : [],
        warnings: event.properties?.coupon
          ? [
              {
                code: 'metadata_dropped',
                message: 'Intercom keeps 10 metadata keys, and these were left out: coupon',
                field: 'properties',
                remedy: 'order the keys in MAPPING_FILE',
              },
            ]
          : [],
      };
    }),
  };
}
