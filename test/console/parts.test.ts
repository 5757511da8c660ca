import t from 'tap';
import { createFeed } from '../../src/console/page/events/feed.ts';
import { fits, streamQuery } from '../../src/console/page/events/filters.ts';
import type { KeptEvent } from '../../src/console/page/service/event.ts';
import { createSseParser } from '../../src/console/page/service/sse.ts';

const event = (n: number, more: Partial<KeptEvent> = {}): KeptEvent => ({
  id: `evt_${String(n).padStart(9, '0')}`,
  status: 'queued',
  reason: null,
  installation: 'default',
  messageId: `m-${n}`,
  type: 'track',
  name: 'A',
  userId: 'u',
  email: null,
  anonymousId: null,
  receivedAtMs: 1000 + n,
  settledAtMs: null,
  nextAttemptAtMs: null,
  attempts: 0,
  intercomStatus: null,
  calls: 0,
  ...more,
});
const open = (limit = 100, isFit: (one: KeptEvent) => boolean = () => true) => createFeed({ limit, fits: isFit });
const ids = (rows: readonly KeptEvent[]) => rows.map(({ id }) => Number(id.slice(4)));

t.test('a stream of server-sent events is read however it is cut', async (t) => {
  const text = ': hello\r\n\r\nid: 7\r\nevent: event\r\ndata: {"a":\ndata: 1}\n\nid\ndata:x\n\ndata: lost';
  const expected = [
    { id: '7', event: 'event', data: '{"a":\n1}' },
    { id: '', event: 'message', data: 'x' },
  ];
  for (let size = 1; size <= text.length; size += 1) {
    const parse = createSseParser();
    const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, n) =>
      text.slice(n * size, (n + 1) * size),
    );
    t.same(pieces.flatMap(parse), expected, `in pieces of ${size}`);
  }
});

t.test('new events wait until they are let in, newest first; a known one changes in its place', async (t) => {
  const feed = open();
  feed.replace([event(3), event(1)], false);
  feed.take([event(5), event(2), event(3, { status: 'delivered' }), event(5, { status: 'dead' })]);
  t.same(ids(feed.rows()), [3, 1]);
  t.equal(feed.rows()[0]?.status, 'delivered');
  t.equal(feed.waiting(), 2);
  feed.admit();
  t.same(ids(feed.rows()), [5, 3, 2, 1]);
  t.equal(feed.rows()[0]?.status, 'dead', 'the newest state of an event counts');
  t.equal(feed.waiting(), 0);
});

t.test('the list stays within its limit, and says that there is more', async (t) => {
  const feed = open(3);
  feed.replace([event(1)], false);
  t.equal(feed.hasOlder(), false);
  for (let n = 2; n <= 20; n += 1) feed.take([event(n)]);
  t.equal(feed.waiting(), 19);
  feed.admit();
  t.same(ids(feed.rows()), [20, 19, 18]);
  t.equal(feed.hasOlder(), true);
  feed.take([event(4, { status: 'dead' })]);
  t.equal(feed.waiting(), 0, 'what is older than the last row belongs to a page that is not read yet');
  feed.append([event(18), event(17)], true);
  t.same(ids(feed.rows()), [20, 19, 18, 17], 'no row twice');
});

t.test('a row that fits the filter no longer goes, when rows may move', async (t) => {
  const feed = open(10, (one) => fits({ status: 'queued' }, one));
  feed.replace([event(2), event(1)], false);
  feed.take([event(1, { status: 'delivered' }), event(3), event(4), event(4, { status: 'filtered' })]);
  t.same(ids(feed.rows()), [2, 1]);
  t.equal(feed.waiting(), 1);
  feed.admit();
  t.same(ids(feed.rows()), [3, 2]);
});

t.test('the stream is asked without what changes under way', async (t) => {
  t.equal(streamQuery({ status: 'queued', reason: 'bug', type: 'track', text: 'a b' }), 'type=track&text=a+b');
});
