import { once } from 'node:events';
import { createServer } from 'node:http';
import { createApi, type Answer, type Incoming } from './api.ts';
import { createAttributes } from './attributes.ts';
import { createCompanies, type Company } from './companies.ts';
import { toContact, type Contact } from './contact.ts';
import { createContactStore, type ContactStatus } from './contact-store.ts';
import { createContacts } from './contacts.ts';
import { createControl } from './control.ts';
import { createEventListing } from './event-listing.ts';
import { createEvents, type StoredEvent } from './events.ts';
import { createFaults, type Fault } from './faults.ts';
import { createListener } from './http.ts';
import { createRateWindows } from './rate-windows.ts';
import { createRecord, type Call } from './record.ts';
import type { Reply } from './replies.ts';
import { createRoutes } from './routes.ts';
import { createSearch } from './search.ts';
import { createWorkspace, type Region } from './workspace.ts';

export type { Call, Company, Contact, Fault, StoredEvent };

export type SimulatorOptions = Partial<Settings> & {
  host?: string;
  /** 0 takes any free port. */
  port?: number;
  /** The access tokens that are accepted. */
  tokens?: string[];
  region?: Region;
  /** How long after a window's end `X-RateLimit-Reset` lies; 0 to 2 were recorded. */
  resetOffsetSeconds?: number;
  /** Custom attributes that the workspace has from the start. */
  attributes?: { model: 'contact' | 'company'; name: string; data_type: string }[];
  /** How many of the newest calls the record keeps. */
  keepCalls?: number;
  /** The clock, in Unix milliseconds. */
  now?: () => number;
};

/** What may change while it runs. */
export type Settings = {
  limitPerMinute: number;
  /** The pool that all tokens share; Infinity is no pool. */
  workspaceLimitPerMinute: number;
  /** How far the search index lags behind creates, updates and archives. */
  indexLagMs: number;
  /** Added to each answer; the call itself is executed on arrival. */
  latencyMs: number;
};

export type Simulator = {
  url: string;
  /** Every call, in order of arrival. */
  calls: Call[];
  count(endpoint?: string): number;
  contacts(): Contact[];
  /** A live contact. */
  contact(externalIdOrId: string): Contact | undefined;
  allContacts(): (Contact & { status: ContactStatus })[];
  /** What is stored after Intercom's own de-duplication, in order of arrival. */
  timeline(externalIdOrContactId: string): StoredEvent[];
  companies(): (Company & { contactIds: string[] })[];
  summary(): Summary;
  inject(fault: Fault): void;
  clearFaults(): void;
  setTokens(tokens: string[]): void;
  configure(settings: { [Key in keyof Settings]?: Settings[Key] | undefined }): void;
  /** Forgets state, record and faults; tokens and settings stay. */
  reset(): void;
  /** Destroys hanging connections as well. May be called twice. */
  close(): Promise<void>;
};

export type Summary = {
  calls: number;
  endpoints: Record<string, number>;
  contacts: number;
  companies: number;
  eventsStored: number;
  duplicatesIgnored: number;
  eventNames: number;
};

/** A stateful Intercom, version 2.11, on a port of this machine. */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { host = '127.0.0.1', port = 0, now = Date.now, keepCalls = Infinity } = options;
  const settings: Settings = {
    limitPerMinute: options.limitPerMinute ?? 10_000,
    workspaceLimitPerMinute: options.workspaceLimitPerMinute ?? Infinity,
    indexLagMs: options.indexLagMs ?? 120_000,
    latencyMs: options.latencyMs ?? 0,
  };
  const tokens = { accepted: new Set(options.tokens ?? ['demo-token']) };
  const record = createRecord({ keepCalls });
  const faults = createFaults();
  let state = openState(options, settings, tokens, now);

  const door: Omit<Simulator, 'url' | 'close'> = {
    calls: record.calls,
    count: record.count,
    contacts: () => door.allContacts().flatMap(({ status, ...contact }) => (status === 'live' ? contact : [])),
    contact(externalIdOrId) {
      const found = state.store.find(externalIdOrId);
      return found?.status === 'live' ? toContact(found.fields, state.workspace.id) : undefined;
    },
    allContacts: () =>
      [...state.store.all()].map(({ fields, status }) => ({ ...toContact(fields, state.workspace.id), status })),
    timeline: (externalIdOrContactId) => state.events.of(state.store.find(externalIdOrContactId)?.id ?? ''),
    companies: () => state.companies.all(),
    summary() {
      const { stored, duplicates, names } = state.events.totals();
      return {
        calls: record.count(),
        endpoints: record.counts(),
        contacts: door.contacts().length,
        companies: door.companies().length,
        eventsStored: stored,
        duplicatesIgnored: duplicates,
        eventNames: names,
      };
    },
    inject(fault) {
      faults.add(fault.kind === 'company_race' ? onlyFirstCreate(fault) : fault);
    },
    clearFaults: faults.clear,
    setTokens(accepted) {
      tokens.accepted = new Set(accepted);
    },
    configure(changes) {
      Object.assign(settings, Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined)));
    },
    reset() {
      state = openState(options, settings, tokens, now);
      record.clear();
      faults.clear();
    },
  };

  function onlyFirstCreate(fault: Fault): Fault {
    const isFirst = (call: Call) => {
      const companyId = companyIdOf(call.requestBody);
      return call.endpoint === 'POST /companies' && companyId !== undefined && !state.companies.has(companyId);
    };
    return { ...fault, when: (call) => isFirst(call) && (fault.when?.(call) ?? true) };
  }

  const { listener, stop } = createListener({
    execute: (incoming: Incoming, instead?: Reply): Answer => state.execute(incoming, instead),
    control: createControl(door),
    record,
    faults,
    settings,
    now,
    race: (body) => state.companies.addElsewhere(companyIdOf(body) ?? ''),
  });
  const server = createServer(listener);
  // As long as a load balancer's usual minute: a client's idle connection must not end under its hands.
  server.keepAliveTimeout = 65_000;
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  const boundPort = typeof address === 'object' && address !== null ? address.port : port;

  let closing: Promise<void> | undefined;
  async function close(): Promise<void> {
    stop();
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }
  return {
    ...door,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${boundPort}`,
    close: () => (closing ??= close()),
  };
}

/** The simulated Intercom without its surroundings: all that a reset throws away. */
function openState(
  options: SimulatorOptions,
  settings: Settings,
  tokens: { accepted: Set<string> },
  now: () => number,
) {
  const workspace = createWorkspace({ region: options.region ?? 'US', now });
  const attributes = createAttributes(workspace);
  for (const attribute of options.attributes ?? []) attributes.predefine(attribute);
  const store = createContactStore({ now, settings });
  const companies = createCompanies({ workspace, store, attributes });
  const events = createEvents({ workspace, store });
  const contacts = createContacts({ workspace, store, attributes, companies, events });
  const search = createSearch({ workspace, store, attributes });
  const listEvents = createEventListing({ workspace, events });
  const routes = createRoutes({ workspace, contacts, search, events, listEvents, companies, attributes });
  const windows = createRateWindows({ limits: settings, now, resetOffsetSeconds: options.resetOffsetSeconds ?? 2 });
  return { workspace, store, companies, events, execute: createApi({ routes, tokens, windows, now }) };
}

function companyIdOf(body: unknown): string | undefined {
  const isObject = typeof body === 'object' && body !== null;
  return isObject && 'company_id' in body && typeof body.company_id === 'string' ? body.company_id : undefined;
}
