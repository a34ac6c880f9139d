-- Search attributes: what runs are found by. One row for each attribute of a run, or for each keyword of one that is a list. What the
-- history of the run says counts; this is its index. `place`: 0, or in a list from 1 on. `kind`: 0 keyword, 1 number, 2 boolean (0 or 1),
-- 3 instant. The index serves conditions; with the key of the run at its end, so that the runs of one value lie in the order of a listing.
CREATE TABLE attributes (
  run_key INTEGER NOT NULL,
  name    TEXT NOT NULL,
  place   INTEGER NOT NULL,
  kind    INTEGER NOT NULL,
  value   ANY NOT NULL,
  PRIMARY KEY (run_key, name, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_by_value ON attributes (name, kind, value, run_key);
