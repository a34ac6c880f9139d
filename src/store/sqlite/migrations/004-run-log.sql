-- What the code of runs said. One row for each activation that said something; `seq` is that of its input. `lines_before` and
-- `chars_before` count from the beginning of the run to this row, what was dropped included: so what is too much, and what was
-- dropped, is known from the newest row and the oldest. `chars` is the length of `lines` in UTF-16 units; `checksum` is as that of a
-- row of events.
CREATE TABLE run_log (
  run_key      INTEGER NOT NULL,
  seq          INTEGER NOT NULL,
  said_at      INTEGER NOT NULL,
  line_count   INTEGER NOT NULL,
  chars        INTEGER NOT NULL,
  lines_before INTEGER NOT NULL,
  chars_before INTEGER NOT NULL,
  checksum     INTEGER NOT NULL,
  lines        TEXT NOT NULL,
  PRIMARY KEY (run_key, seq)
) STRICT, WITHOUT ROWID;
