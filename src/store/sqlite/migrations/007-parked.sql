-- Activities of a run may be parked: they wait for an operator. Which, and since when, is the text of whoever writes the row; that there
-- are some, and in which runs, is known without a look at the others.
ALTER TABLE runs ADD COLUMN parked TEXT;
CREATE INDEX runs_parked ON runs (run_key) WHERE parked IS NOT NULL;
