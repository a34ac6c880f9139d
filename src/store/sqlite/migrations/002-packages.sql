-- Deployed packages. `version` is the SHA-256 of `archive`, which is its own checksum; `package_key` is the
-- order of first deployment. The archive is the last column: whatever reads the others does not read it.
CREATE TABLE packages (
  package_key INTEGER PRIMARY KEY,
  version     TEXT NOT NULL UNIQUE,
  deployed_at INTEGER NOT NULL,
  archive     BLOB NOT NULL
) STRICT;

-- `place` is the order in which the types were given.
CREATE TABLE package_types (
  version       TEXT NOT NULL,
  place         INTEGER NOT NULL,
  workflow_type TEXT NOT NULL,
  PRIMARY KEY (version, place)
) STRICT, WITHOUT ROWID;

-- Which version new runs of a type get: of each type the row with the highest key counts.
CREATE TABLE routes (
  route_key     INTEGER PRIMARY KEY,
  workflow_type TEXT NOT NULL,
  version       TEXT NOT NULL,
  routed_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX routes_by_type ON routes (workflow_type);

-- Tells within a transaction whether a package is needed by a run, and by which. Only a run's start and its end
-- touch it, and of inline code not even they; a part of the version keeps it small, and its entries of one package lie in
-- order of the runs' keys.
CREATE INDEX runs_pinned ON runs (substr(version, 1, 8)) WHERE closed_at IS NULL AND length(version) = 64;
