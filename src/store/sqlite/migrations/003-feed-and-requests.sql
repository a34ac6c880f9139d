-- The feed: one row for each transaction that wrote events while it was on. `position` has no gap above `owner.feed_floor`;
-- rows up to there are read no more, and are deleted little by little. `entries` names the rows of events, in the order in which
-- they were written: run_key.first_seq.count, with a space between two. `checksum` is the CRC-32 of that text, begun from position.
CREATE TABLE feed (
  position    INTEGER PRIMARY KEY,
  recorded_at INTEGER NOT NULL,
  checksum    INTEGER NOT NULL,
  entries     TEXT NOT NULL
) STRICT;

-- In the row that each transaction reads anyway. feed_keep_ms is null while the feed is off; feed_era tells one feed from
-- another of the same file, and only grows.
ALTER TABLE owner ADD COLUMN feed_keep_ms INTEGER;
ALTER TABLE owner ADD COLUMN feed_era INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN feed_floor INTEGER NOT NULL DEFAULT 0;

-- The latest changes of the catalog that were asked for with a request id, which is made once. `content` is what was asked for.
CREATE TABLE requests (
  request_key INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id  TEXT NOT NULL UNIQUE,
  content     TEXT NOT NULL,
  is_new      INTEGER NOT NULL
) STRICT;
