-- A run may be paused (status 7): it is open, and neither running nor closed. How many are, and which, is known without a look at
-- the others.
CREATE INDEX runs_paused ON runs (run_key) WHERE status = 7;
