import './code.css';
import { useId } from 'preact/hooks';
import { CopyButton } from './button.tsx';

/** A text to read and to copy. JSON is coloured by its kinds of values. */
export function Code({ value, title, isOpen }: { value: unknown; title: string; isOpen?: boolean }) {
  const isText = typeof value === 'string';
  const text = isText ? value : (JSON.stringify(value, null, 2) ?? '');
  const id = useId();
  const body = (
    <pre class="code-text" tabIndex={0} role="group" aria-labelledby={id}>
      <code>{isText ? text : colour(text)}</code>
    </pre>
  );
  const heading = (
    <span id={id} class="code-title">
      {title}
    </span>
  );
  return (
    <div class="code">
      {isOpen === undefined ? (
        <>
          <div class="code-head">{heading}</div>
          {body}
        </>
      ) : (
        <details open={isOpen}>
          <summary class="code-head">{heading}</summary>
          {body}
        </details>
      )}
      <CopyButton text={text} what={title} />
    </div>
  );
}

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g;
/** Beyond this, colours cost more than they tell. */
const longestColoured = 20_000;

function colour(json: string) {
  if (json.length > longestColoured) return json;
  const parts = [];
  let from = 0;
  for (const match of json.matchAll(token)) {
    const [all, text, colon, word] = match;
    const kind = text === undefined ? (word === undefined ? 'number' : 'word') : colon === undefined ? 'text' : 'key';
    const shown = text ?? all;
    parts.push(json.slice(from, match.index), <span class={`json-${kind}`}>{shown}</span>);
    from = match.index + shown.length;
  }
  parts.push(json.slice(from));
  return parts;
}
