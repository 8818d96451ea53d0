-- Who is who. A person and a number outlive the lists they came from.
CREATE TABLE person (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  external_ref TEXT NOT NULL UNIQUE,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE number (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  digits INTEGER NOT NULL UNIQUE,
  number_type TEXT NOT NULL,
  prefix_class INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE person_number (
  person INTEGER NOT NULL,
  number INTEGER NOT NULL,
  source TEXT NOT NULL,
  PRIMARY KEY (person, number)
) STRICT, WITHOUT ROWID;

-- A list is 'loading' until it is committed whole; campaigns take only 'ready' ones.
CREATE TABLE list (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  source TEXT NOT NULL,
  state TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  committed_ms INTEGER
) STRICT;
CREATE TABLE contact (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  list INTEGER NOT NULL REFERENCES list (id),
  person INTEGER NOT NULL,
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  zone TEXT NOT NULL,
  priority INTEGER NOT NULL,
  fields TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX contact_number ON contact (list, number);
CREATE INDEX contact_order ON contact (list, id);
