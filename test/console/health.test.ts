import t from 'tap';
import { until } from '../service.ts';
import { playShop } from './shop.ts';
import { openConsole } from './stage.ts';

t.test('health tells quota, backlog, calls and what was saved', async (t) => {
  const { page, service } = await openConsole(t, { hash: '#/health' });
  await playShop(service.url, service.simulator);
  const part = (name: string) => page.getByRole('region', { name });
  await part('Calls saved').getByText('unchanged', { exact: true }).waitFor();
  await until('calls were saved', async () => /^[1-9]/.test(await part('Calls saved').locator('.figure').innerText()));
  await part('Backlog').getByText('Everything that was accepted is settled').waitFor();
  t.match(await part('Backlog').innerText(), '0 events under way');
  t.match(await part("Intercom's quota").innerText(), /of 1,667 calls/);
  const meter = page.getByRole('meter', { name: /calls used of the current window/ });
  t.equal(await meter.getAttribute('max'), '1667');
  t.match(
    await part('Calls to Intercom').getByRole('img').getAttribute('aria-label'),
    /Per minute, last hour: \d+ calls, \d+ retries/,
  );
  t.match(await part('Parts').innerText(), /Store[\s\S]*Well[\s\S]*Intercom[\s\S]*Active/);
});

t.test('a hold stands there with its remedy, and the backlog with its age', async (t) => {
  const { page, service } = await openConsole(t, { hash: '#/health' });
  service.simulator.setTokens([]);
  await service.post({ type: 'track', event: 'Waits', userId: 'u' }, { prefer: 'respond-async' });
  const parts = page.getByRole('region', { name: 'Parts' });
  await parts.getByText('On hold').waitFor();
  t.match(await parts.innerText(), /copy the token anew/i);
  const backlog = page.getByRole('region', { name: 'Backlog' });
  await backlog.getByText('1 event under way').waitFor();
  t.match(await backlog.innerText(), /It waits, in part or whole, until the delivery goes on/);
  t.match(await backlog.innerText(), /Oldest\s+(\d+ s ago|now)/);
});
