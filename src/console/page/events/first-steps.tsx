import './first-steps.css';
import { overview } from '../service/overview.ts';
import { href } from '../shell/route.ts';
import { CopyButton } from '../widgets/button.tsx';
import { Code } from '../widgets/code.tsx';

/** What to do when nothing has come yet: one event by hand, then Signal's own. */
export function FirstSteps() {
  const hasInstallation = (overview.value?.installations.length ?? 0) > 0;
  const url = `${location.origin}/ingest`;
  const curl = `curl -i ${url} -H 'content-type: application/json' -d '{
  "type": "track", "event": "Product Viewed", "userId": "user-123",
  "properties": { "name": "Blue Shirt", "price": 79.99, "currency": "USD" },
  "context": { "consent": { "functional": true } } }'`;
  return (
    <div class="first-steps">
      <h2>No event has come yet</h2>
      <p class="muted">It appears here within two seconds of its arrival.</p>
      <ol>
        {!hasInstallation && (
          <li>
            <h3>Connect a workspace</h3>
            <p>
              Without one, /ingest answers 503. <a href={href('integrations')}>Install Intercom</a>: it takes an access
              token and a region.
            </p>
          </li>
        )}
        <li>
          <h3>Send one event by hand</h3>
          <p>
            On the command line, or here under <a href={href('try')}>Try it</a>. Where INGEST_TOKEN is set, add{' '}
            <code>-H 'authorization: Bearer …'</code>.
          </p>
          <Code title="curl" value={curl} />
        </li>
        <li>
          <h3>Let Signal send</h3>
          <p>In Signal, add an integration of the kind Custom Webhook with these settings:</p>
          <WebhookSettings url={url} />
        </li>
      </ol>
    </div>
  );
}

/** The fields of Signal's form, in its order. */
export function WebhookSettings({ url }: { url: string }) {
  const isPublic = url.startsWith('https:');
  const rows: { field: string; value: string; note?: string; copy?: boolean }[] = [
    {
      field: 'URL',
      value: url,
      copy: true,
      ...(!isPublic && { note: 'Signal wants HTTPS in production: put a proxy with a certificate in front.' }),
    },
    { field: 'Method', value: 'POST' },
    { field: 'Headers', value: '{}', note: 'None are needed.' },
    {
      field: 'Authentication',
      value: 'Bearer Token',
      note: 'The text of INGEST_TOKEN. Basic: INGEST_BASIC. HMAC: INGEST_HMAC_SECRET.',
    },
    { field: 'Payload format', value: 'canonical' },
    { field: 'Batching', value: 'on, 100 events, 5000 ms', note: 'Fewer requests; off works as well.' },
    { field: 'Timeout', value: '30000 ms' },
    { field: 'Retries', value: 'on, 5', note: 'A repeat is known by its messageId and never sent twice.' },
  ];
  return (
    <div class="scroll-x">
      <table class="settings">
        <tbody>
          {rows.map(({ field, value, note, copy }) => (
            <tr key={field}>
              <th scope="row">{field}</th>
              <td>
                <code>{value}</code>
                {copy === true && <CopyButton text={value} what={field} />}
                {note !== undefined && <span class="muted"> {note}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
