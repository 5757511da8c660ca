import type { Check } from './check.ts';

/** The report: for people a line per check with its remedy under it, or JSON for programs. */
export function print(checks: Check[], { json }: { json: boolean }): string {
  const failed = checks.filter(({ status }) => status === 'fail').length;
  const warned = checks.filter(({ status }) => status === 'warn').length;
  if (json) return `${JSON.stringify({ ok: failed === 0, checks }, null, 2)}\n`;
  const judged = checks.filter(({ status }) => status !== 'skipped');
  const width = Math.max(...judged.map(({ name }) => name.length));
  const lines = judged.map(({ name, status, message, remedy }) => {
    const line = `${status.padEnd(7)}  ${name.padEnd(width)}  ${message}`;
    return remedy === undefined ? line : `${line}\n${' '.repeat(width + 11)}→ ${remedy}`;
  });
  for (const [why, names] of Map.groupBy(checks, ({ status, message }) => (status === 'skipped' ? message : '')))
    if (why !== '') lines.push(`skipped  ${names.map(({ name }) => name).join(', ')}: ${why}`);
  const end =
    failed + warned === 0
      ? 'All is well.'
      : `${failed === 0 ? 'Nothing' : failed} failed, ${warned === 0 ? 'no' : warned} ${warned === 1 ? 'warning' : 'warnings'}.`;
  return `${lines.join('\n')}\n\n${end}\n`;
}
