// The yardstick of `ingest`: a process with one Fastify route that parses the same body, stores nothing and answers 202.
import Fastify from 'fastify';

const app = Fastify({ logger: false });
app.post('/ingest', async (request, reply) => {
  const body = request.body;
  const events =
    typeof body === 'object' && body !== null && 'batch' in body && Array.isArray(body.batch) ? body.batch.length : 1;
  return reply.code(202).send({ accepted: events });
});
app.get('/readyz', async () => ({ status: 'ready' }));
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
process.once('SIGTERM', () => process.exit());
