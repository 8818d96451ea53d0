-- Where CRM events are posted.
CREATE TABLE crm_endpoint (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  secret TEXT NOT NULL,
  enabled INTEGER NOT NULL,
  disabled_why TEXT,
  backoff_until_ms INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
-- Which types an endpoint wants; one without rows wants all.
CREATE TABLE crm_endpoint_event (
  endpoint INTEGER NOT NULL REFERENCES crm_endpoint (id),
  type TEXT NOT NULL,
  PRIMARY KEY (endpoint, type)
) STRICT, WITHOUT ROWID;

-- What a CRM has not acknowledged. The first row of each (endpoint, person) goes first.
CREATE TABLE crm_outbox (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  endpoint INTEGER NOT NULL,
  person INTEGER NOT NULL,
  campaign INTEGER NOT NULL,
  event BLOB NOT NULL,
  type TEXT NOT NULL,
  body TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  next_ms INTEGER NOT NULL,
  lease_until_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  error TEXT
) STRICT;
CREATE UNIQUE INDEX crm_outbox_event ON crm_outbox (endpoint, event);
CREATE INDEX crm_outbox_order ON crm_outbox (endpoint, id);
CREATE INDEX crm_outbox_person ON crm_outbox (endpoint, person, id);
-- What was given up, for a person to look at and send again.
CREATE TABLE crm_dead_letter (
  id INTEGER NOT NULL PRIMARY KEY,
  endpoint INTEGER NOT NULL,
  person INTEGER NOT NULL,
  campaign INTEGER NOT NULL,
  event BLOB NOT NULL,
  type TEXT NOT NULL,
  body TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  dead_ms INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  why TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX crm_dead_letter_endpoint ON crm_dead_letter (endpoint, id);
