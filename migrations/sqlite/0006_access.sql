-- People who log in. Without a password hash only a one-time link opens the door.
CREATE TABLE app_user (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  agent INTEGER,
  password_hash TEXT,
  created_ms INTEGER NOT NULL
) STRICT;
-- Only hashes of tokens are kept: who reads the database cannot use them.
CREATE TABLE session (
  hash BLOB NOT NULL PRIMARY KEY,
  app_user INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE one_time_link (
  hash BLOB NOT NULL PRIMARY KEY,
  app_user INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  used_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE api_token (
  hash BLOB NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  agent INTEGER,
  created_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) STRICT, WITHOUT ROWID;
-- Answers to requests that may be repeated, for a day.
CREATE TABLE idempotency_key (
  scope TEXT NOT NULL,
  key TEXT NOT NULL,
  status INTEGER NOT NULL,
  body TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency_key (at_ms);
