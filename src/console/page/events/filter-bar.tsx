import './filter-bar.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { overview } from '../service/overview.ts';
import { go, href, hrefWith, route } from '../shell/route.ts';
import { Button } from '../widgets/button.tsx';
import { Icon } from '../widgets/icon.tsx';
import { reasonText } from '../widgets/status.tsx';
import { type FilterName, filterNames } from './filters.ts';

const types = ['identify', 'track', 'page', 'screen', 'group'];
const labels: Record<FilterName, string> = {
  status: 'Status',
  type: 'Type',
  name: 'Event name',
  userId: 'User id',
  email: 'Email',
  messageId: 'Message id',
  reason: 'Reason',
  text: 'Text',
  installation: 'Integration',
};
const typed = ['name', 'userId', 'email', 'messageId', 'reason'] as const;

/** The filters stand in the address, so that a link shows the same list. */
export function FilterBar() {
  const { query } = route.value;
  const [isOpen, setOpen] = useState(false);
  const installations = overview.value?.installations ?? [];
  const set = (name: FilterName, value: string): void => go(hrefWith({ [name]: value }), { replace: true });
  const chips = filterNames.filter((name) => query.has(name) && name !== 'text' && name !== 'type');

  return (
    <search class="filter-bar">
      <div class="filter-line">
        <div class="filter-search">
          <Icon name="search" />
          <Typed name="text" label="Search in the raw events" placeholder="Search in the raw events" onChange={set} />
        </div>
        <select
          aria-label="Type"
          value={query.get('type') ?? ''}
          onChange={(event) => set('type', event.currentTarget.value)}
        >
          <option value="">All types</option>
          {types.map((type) => (
            <option key={type} value={type}>
              {type}
            </option>
          ))}
        </select>
        {installations.length > 1 && (
          <select
            aria-label="Integration"
            value={query.get('installation') ?? ''}
            onChange={(event) => set('installation', event.currentTarget.value)}
          >
            <option value="">All integrations</option>
            {installations.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        )}
        <Button kind="quiet" isPressed={isOpen} onClick={() => setOpen(!isOpen)}>
          More filters
        </Button>
        {chips.map((name) => (
          <span key={name} class="chip">
            {labels[name]}:{' '}
            {name === 'reason' || name === 'status' ? reasonText(query.get(name) ?? '') : query.get(name)}
            <a href={hrefWith({ [name]: null })} aria-label={`Remove the filter ${labels[name]}`}>
              <Icon name="close" />
            </a>
          </span>
        ))}
        {chips.length > 1 && <a href={href('events')}>Clear</a>}
      </div>
      {isOpen && (
        <div class="filter-line">
          {typed.map((name) => (
            <Typed key={name} name={name} label={labels[name]} placeholder={labels[name]} onChange={set} />
          ))}
        </div>
      )}
    </search>
  );
}

const typingMs = 350;

/** Narrows the list once the typing rests. */
function Typed({
  name,
  label,
  placeholder,
  onChange,
}: {
  name: FilterName;
  label: string;
  placeholder: string;
  onChange(name: FilterName, value: string): void;
}) {
  const current = route.value.query.get(name) ?? '';
  const [text, setText] = useState(current);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => setText(current), [current]);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={placeholder}
      value={text}
      spellcheck={false}
      autocomplete="off"
      onInput={(event) => {
        const value = event.currentTarget.value;
        setText(value);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => onChange(name, value.trim()), typingMs);
      }}
    />
  );
}
