import { fields } from '../service/fields.ts';
import { readAuditEntry } from '../service/integration.ts';
import { useAnswer } from '../service/use-answer.ts';
import { Time } from '../widgets/time.tsx';

/** Who changed what of the integrations. */
export function AuditLog({ version }: { version: number }) {
  const { answer: entries } = useAnswer(
    '/v1/admin/audit-log?limit=10',
    (body) => fields(body).list('data', readAuditEntry),
    [version],
  );
  if (entries === null || entries.length === 0) return null;
  return (
    <section class="library" aria-labelledby="audit-title">
      <h2 id="audit-title">Latest changes</h2>
      <div class="card scroll-x">
        <table class="audit">
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">What</th>
              <th scope="col">Integration</th>
              <th scope="col">Changed</th>
              <th scope="col">From</th>
            </tr>
          </thead>
          <tbody>
            {entries.map(({ id, atMs, action, resourceId, changed, ipAddress }) => (
              <tr key={id}>
                <td>{atMs !== null && <Time ms={atMs} />}</td>
                <td>{action.replaceAll(/[._]/g, ' ')}</td>
                <td>
                  <code>{resourceId}</code>
                </td>
                <td>{changed.join(', ')}</td>
                <td>
                  <code>{ipAddress}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
