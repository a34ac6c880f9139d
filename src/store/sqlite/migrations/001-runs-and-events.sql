-- The store of one engine. Instants are milliseconds since 1970.

-- Facts about the file: the version of Aion that last claimed it (aion_version), and the newest that ever did.
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row. `pid` is null when nobody owns the store; the epoch is kept, and only grows.
CREATE TABLE owner (
  id              INTEGER PRIMARY KEY CHECK (id = 1),
  epoch           INTEGER NOT NULL,
  pid             INTEGER,
  host            TEXT,
  machine         TEXT,
  process_started TEXT,
  endpoint        TEXT,
  claimed_at      INTEGER,
  lease_ms        INTEGER,
  lease_until     INTEGER
) STRICT;
INSERT INTO owner (id, epoch) VALUES (1, 0);

-- One row per run. `run_key` grows with time and is never given twice (`run_key_floor` in meta remembers the
-- last one when its row is deleted), so what belongs to runs that move together lies together; the caller's id,
-- which is random, is looked up in one index alone. How many pages a commit touches decides what it costs, so
-- there are no more indexes than these.
-- status: 0 running, 1 completed, 2 failed, 3 cancelled, 4 terminated, 5 timed-out, 6 continued-as-new.
-- closed_at is null exactly while the run is running; wake_at is null in a closed run.
CREATE TABLE runs (
  run_key            INTEGER PRIMARY KEY,
  head_seq           INTEGER NOT NULL,
  first_seq          INTEGER NOT NULL,
  status             INTEGER NOT NULL,
  wake_at            INTEGER,
  started_at         INTEGER NOT NULL,
  closed_at          INTEGER,
  workflow_id        TEXT NOT NULL,
  run_id             TEXT NOT NULL,
  workflow_type      TEXT NOT NULL,
  version            TEXT NOT NULL,
  blocked            TEXT,
  parent_workflow_id TEXT,
  parent_run_id      TEXT,
  parent_ordinal     INTEGER
) STRICT;
CREATE UNIQUE INDEX runs_by_workflow_id ON runs (workflow_id, first_seq);
CREATE INDEX runs_open ON runs (wake_at) WHERE closed_at IS NULL;
CREATE INDEX runs_closed ON runs (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX runs_blocked ON runs (run_key) WHERE blocked IS NOT NULL;

-- One row per commit: its events as JSON text. `checksum` is the CRC-32 of that text, begun from
-- CRC-32(workflow id) + first_seq, so that a row is not taken for another's either.
CREATE TABLE events (
  run_key   INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  checksum  INTEGER NOT NULL,
  row       TEXT NOT NULL,
  PRIMARY KEY (run_key, first_seq)
) STRICT, WITHOUT ROWID;

-- What one workflow has to tell another; deleted by the commit that answers it. `checksum` is the CRC-32 of
-- the body, begun from CRC-32(target).
CREATE TABLE messages (
  message_id INTEGER PRIMARY KEY AUTOINCREMENT,
  checksum   INTEGER NOT NULL,
  target     TEXT NOT NULL,
  body       TEXT NOT NULL
) STRICT;

-- The latest heartbeat details of activities; deleted when the run closes.
CREATE TABLE heartbeats (
  run_key INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  details TEXT NOT NULL,
  PRIMARY KEY (run_key, ordinal)
) STRICT, WITHOUT ROWID;
