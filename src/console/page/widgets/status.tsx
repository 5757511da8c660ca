import './status.css';
import type { KeptEvent } from '../service/event.ts';
import { Icon, type IconName } from './icon.tsx';

const statuses: Record<string, { icon: IconName; text: string; tone: string }> = {
  delivered: { icon: 'delivered', text: 'Delivered', tone: 'good' },
  queued: { icon: 'queued', text: 'Queued', tone: 'wait' },
  filtered: { icon: 'filtered', text: 'Filtered', tone: 'off' },
  dead: { icon: 'dead', text: 'Dead', tone: 'bad' },
  duplicate: { icon: 'copy', text: 'Duplicate', tone: 'off' },
  rejected: { icon: 'dead', text: 'Rejected', tone: 'bad' },
  retry: { icon: 'redrive', text: 'Retry', tone: 'wait' },
  hold: { icon: 'hold', text: 'Hold', tone: 'warn' },
  would_send: { icon: 'delivered', text: 'Would be sent', tone: 'good' },
  would_filter: { icon: 'filtered', text: 'Would be filtered', tone: 'off' },
  well: { icon: 'delivered', text: 'Well', tone: 'good' },
  failing: { icon: 'dead', text: 'Failing', tone: 'bad' },
  active: { icon: 'delivered', text: 'Active', tone: 'good' },
  paused: { icon: 'hold', text: 'Paused', tone: 'off' },
  held: { icon: 'warning', text: 'On hold', tone: 'warn' },
  starting: { icon: 'queued', text: 'Starting', tone: 'wait' },
};

/** A status by icon, word and colour. */
export function Status({ of }: { of: string }) {
  const { icon, text, tone } = statuses[of] ?? { icon: 'queued', text: of, tone: 'off' };
  return (
    <span class={`status ${tone}`}>
      <Icon name={icon} />
      {text}
    </span>
  );
}

const phrases: Record<number, string> = {
  200: 'OK',
  202: 'Accepted',
  207: 'Multi-Status',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  409: 'Conflict',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Content',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** An HTTP status as it was answered; null: no answer came. */
export function HttpStatus({ status, brief = false }: { status: number | null; brief?: boolean }) {
  if (status === null) return <span class="http bad">no answer</span>;
  const phrase = phrases[status];
  return (
    <span class={`http ${status < 300 ? 'good' : status < 500 ? 'bad' : 'warn'}`}>
      {status}
      {!brief && phrase !== undefined && ` ${phrase}`}
    </span>
  );
}

/** What a reason's name says, for people. */
export function reasonText(reason: string): string {
  const text = reason.replace(/^hold_/, 'on hold: ').replaceAll('_', ' ');
  return text[0]?.toUpperCase() + text.slice(1);
}

export function eventTitle({ type, name }: Pick<KeptEvent, 'type' | 'name'>): string {
  return name ?? type;
}

export function personTitle({
  userId,
  email,
  anonymousId,
}: Pick<KeptEvent, 'userId' | 'email' | 'anonymousId'>): string {
  return userId ?? email ?? anonymousId ?? '—';
}
