import './button.css';
import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { announce } from '../shell/announcer.tsx';
import { Icon, type IconName } from './icon.tsx';

type Kind = 'plain' | 'primary' | 'danger' | 'quiet';

export function Button({
  children,
  icon,
  kind = 'plain',
  type = 'button',
  isBusy = false,
  isDisabled = false,
  onClick,
  label,
  isPressed,
}: {
  children?: ComponentChildren;
  icon?: IconName;
  kind?: Kind;
  type?: 'button' | 'submit';
  isBusy?: boolean;
  isDisabled?: boolean;
  onClick?: () => void;
  /** Where there is no text to read. */
  label?: string;
  isPressed?: boolean;
}) {
  return (
    <button
      type={type}
      class={`button ${kind}${children === undefined ? ' bare' : ''}`}
      aria-label={label}
      title={label}
      aria-busy={isBusy}
      aria-disabled={isBusy || isDisabled}
      aria-pressed={isPressed}
      onClick={(event) => {
        if (!isBusy && !isDisabled) onClick?.();
        else event.preventDefault(); // aria-disabled keeps the focus, and lets the button through
      }}
    >
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
}

const sayMs = 1600;

export function CopyButton({ text, what, children }: { text: string; what: string; children?: ComponentChildren }) {
  const [isCopied, setCopied] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const copy = async (): Promise<void> => {
    const done = await copyText(text);
    announce(done ? `${what} copied` : `${what} could not be copied`);
    setCopied(done);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), sayMs);
  };
  return (
    <Button
      kind="quiet"
      icon={isCopied ? 'delivered' : 'copy'}
      {...(children === undefined && { label: `${isCopied ? 'Copied' : 'Copy'} ${what}` })}
      onClick={() => void copy()}
    >
      {isCopied ? 'Copied' : (children ?? 'Copy')}
    </Button>
  );
}

/** The clipboard is for secure pages only; a plain http address needs the old way. */
async function copyText(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    );
  }
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'only-heard';
  (document.querySelector('dialog[open]') ?? document.body).append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  return done;
}
