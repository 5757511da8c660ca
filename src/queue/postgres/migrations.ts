/**
 * The schema, forward only: a migration that was released is never changed, the next one is appended. Each must leave
 * what the version before can still work with (a new column has a default, nothing is renamed or dropped while old
 * replicas run), since replicas are replaced one by one.
 *
 * Times are Unix ms by the database's clock, which all replicas share.
 */
export const migrations: readonly string[] = [
  `
CREATE SEQUENCE event_seq;

CREATE TABLE event (
  seq bigint PRIMARY KEY, installation text NOT NULL, message_id text NOT NULL, type text NOT NULL, name text,
  user_id text, email text, anonymous_id text, received_at bigint NOT NULL, at bigint NOT NULL,
  decision text NOT NULL, payload text NOT NULL, trace text, was_held boolean NOT NULL DEFAULT false);

-- A row is a queued event. The person is whose line it stands in: a join rewrites it.
CREATE TABLE job (
  seq bigint PRIMARY KEY, person text COLLATE "C" NOT NULL, due_at bigint NOT NULL DEFAULT 0, attempts int NOT NULL DEFAULT 0,
  created_at bigint) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX job_person ON job (person, seq);
-- Those that wait for no login.
CREATE INDEX job_sendable ON job (seq) WHERE strpos(person, '/anon:') = 0;

-- A row is an event that left the queue.
CREATE TABLE settled (
  seq bigint PRIMARY KEY, at bigint NOT NULL, status text NOT NULL, reason text, person text NOT NULL,
  attempts int NOT NULL, intercom_status int, calls int NOT NULL, created_at bigint);
CREATE INDEX settled_dead ON settled (seq) WHERE status = 'dead';

CREATE TABLE attempt (
  seq bigint NOT NULL, n int NOT NULL, at bigint NOT NULL, outcome text NOT NULL, reason text, intercom_status int,
  calls int NOT NULL, ms int NOT NULL, exchange text, PRIMARY KEY (seq, n));

-- One person's line: its lock, its lease, its fencing token and its retry time. While it is locked nobody else adds to
-- it, joins it, leases it or ends its lease.
--   state  0 free, 1 leased, 2 waits for a login, 3 leased in vain (its person is being erased)
--   due_at while free: when it may be leased; while leased: when the lease ends
--   blockers  leases and erasures that must end before it may be leased
--   into   whose line it becomes part of, once its lease ends
--   record the contact record that its lease writes to, where that is another's
CREATE TABLE lane (
  person text COLLATE "C" PRIMARY KEY, installation text NOT NULL, queued int NOT NULL DEFAULT 0, state smallint NOT NULL DEFAULT 0,
  due_at bigint NOT NULL DEFAULT 0, blockers int NOT NULL DEFAULT 0, token uuid, holder uuid, "into" text COLLATE "C", record text
  ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX lane_due ON lane (installation, due_at) WHERE state = 0 AND queued > 0 AND blockers = 0;
CREATE UNIQUE INDEX lane_token ON lane (token) WHERE token IS NOT NULL;
CREATE INDEX lane_leased ON lane (due_at) WHERE token IS NOT NULL;
CREATE INDEX lane_into ON lane ("into") WHERE "into" IS NOT NULL;

CREATE TABLE contact (person text COLLATE "C" PRIMARY KEY, record text NOT NULL) WITH (fillfactor = 70);
-- Which person a second key (an email, a device) belongs to.
CREATE TABLE alias (key text COLLATE "C" PRIMARY KEY, person text COLLATE "C" NOT NULL);
CREATE INDEX alias_person ON alias (person);
-- People whose records the next record of a person replaces.
CREATE TABLE joined (person text COLLATE "C" NOT NULL, source text COLLATE "C" NOT NULL, PRIMARY KEY (person, source));
-- Only people who ever withheld something.
CREATE TABLE consent (person text COLLATE "C" PRIMARY KEY, at bigint NOT NULL, functional boolean NOT NULL, marketing boolean NOT NULL);

-- The messageIds of the window, by 128 bits of their fingerprint.
CREATE TABLE seen (print uuid PRIMARY KEY, seq bigint NOT NULL, at bigint NOT NULL);

-- People who are being erased: their keys, and how far the events of the past are walked.
CREATE TABLE erasure (
  seq bigint PRIMARY KEY, keys text[] NOT NULL, walked bigint NOT NULL DEFAULT 0, devices text[] NOT NULL DEFAULT '{}');

-- Who may work at what belongs to no person (a company), until when.
CREATE TABLE turn (key text PRIMARY KEY, token uuid NOT NULL, until bigint NOT NULL);

CREATE TABLE installation (id text PRIMARY KEY, record text NOT NULL, n bigint GENERATED ALWAYS AS IDENTITY);
CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at bigint NOT NULL, action text NOT NULL, resource text NOT NULL,
  changes text NOT NULL, ip_address text NOT NULL, user_agent text NOT NULL);

-- Counters (accepted, delivered, filtered, dead; queued/<installation>), in slots that are added up: writers of one
-- slot wait for each other's commit.
CREATE TABLE total (name text NOT NULL, slot int NOT NULL, n bigint NOT NULL, PRIMARY KEY (name, slot)) WITH (fillfactor = 50);
`,
  // What replicas tell each other beside the queue. Unlogged is what a crash of the database may forget: it is of the
  // last minute, and no commit waits for the disk or a standby because of it.
  `
CREATE UNLOGGED TABLE replica (
  id uuid PRIMARY KEY, started_at bigint NOT NULL, seen_at bigint NOT NULL, version text NOT NULL,
  roles text[] NOT NULL, host text NOT NULL, watched_until bigint NOT NULL, installations text NOT NULL,
  calls_per_second real NOT NULL, drained_per_second real NOT NULL) WITH (fillfactor = 50);

-- What happened to events, as long as a console watches; a row is what one replica tells of a fifth of a second.
CREATE UNLOGGED TABLE change (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, origin uuid NOT NULL, at bigint NOT NULL, changes text NOT NULL);

CREATE TABLE activity (
  minute bigint NOT NULL, replica uuid NOT NULL, accepted int NOT NULL, delivered int NOT NULL, filtered int NOT NULL,
  dead int NOT NULL, retried int NOT NULL, calls int NOT NULL, PRIMARY KEY (minute, replica)) WITH (fillfactor = 50);
-- What is added up over all replicas and for good; the name is its counter's and, behind slashes, what it is of.
CREATE TABLE tally (name text PRIMARY KEY, n bigint NOT NULL) WITH (fillfactor = 50);

-- A redrive of many: how far it is (after), and who goes on with it (holder) unless nothing is heard of it (held_until).
CREATE TABLE redrive (
  id text PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY, filter text NOT NULL, up_to text NOT NULL, after text,
  total int NOT NULL, done int NOT NULL DEFAULT 0, status text NOT NULL DEFAULT 'running', holder uuid,
  held_until bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE INDEX redrive_running ON redrive (n) WHERE status = 'running';

-- Work that one replica does for all, and what the next one goes on from.
CREATE TABLE duty (
  name text PRIMARY KEY, holder uuid, held_until bigint NOT NULL DEFAULT 0, state text) WITH (fillfactor = 50);
`,
  `
-- What the replicas have used of an installation's calls in a window of Intercom's clock; granted: to who asked last;
-- ahead: that clock, at the least, minus the database's.
CREATE TABLE quota (
  installation text PRIMARY KEY, "window" bigint NOT NULL DEFAULT 0, used bigint NOT NULL DEFAULT 0,
  granted bigint NOT NULL DEFAULT 0, ahead bigint NOT NULL DEFAULT 0, paused_until bigint NOT NULL DEFAULT 0, limited_window bigint NOT NULL DEFAULT -1
  ) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0.01);

-- Why an installation's delivery is held, and who asks whether it is well; target: a fingerprint of the token and the
-- address that this is said of. No row: nothing is known against it.
CREATE TABLE gate (
  installation text NOT NULL, target text NOT NULL, version bigint NOT NULL, state text NOT NULL,
  PRIMARY KEY (installation, target)) WITH (fillfactor = 50);
`,
  `
-- How far the database's clock has come, in one row: behind it, the clock was set back.
CREATE TABLE clock (one boolean PRIMARY KEY DEFAULT true CHECK (one), reached bigint NOT NULL) WITH (fillfactor = 10);
`,
];

/**
 * The versions (a migration's place in the list, from 1) that replicas which do not know them must not work with: they
 * then refuse to start. Such a release is not rolled out one by one: stop all replicas, then start the new ones.
 */
export const breaking: readonly number[] = [];
