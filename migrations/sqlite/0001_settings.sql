-- Settings are append-only versions: an attempt names the versions it was made under, for ever.
-- The head row names the newest version.
CREATE TABLE campaign (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE campaign_version (
  campaign INTEGER NOT NULL REFERENCES campaign (id),
  version INTEGER NOT NULL,
  settings TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  PRIMARY KEY (campaign, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE trunk (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE trunk_version (
  trunk INTEGER NOT NULL REFERENCES trunk (id),
  version INTEGER NOT NULL,
  settings TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  PRIMARY KEY (trunk, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE agent (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  version INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE agent_version (
  agent INTEGER NOT NULL REFERENCES agent (id),
  version INTEGER NOT NULL,
  settings TEXT NOT NULL,
  at_ms INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  PRIMARY KEY (agent, version)
) STRICT, WITHOUT ROWID;

-- Which run of which node is the newest, and the latest wall-clock time it saw: a clock that steps
-- back across a restart is noticed by it.
CREATE TABLE process_mark (
  node TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  utc_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Who may write intents of a campaign: the fence against a process that was asleep.
CREATE TABLE campaign_lease (
  campaign INTEGER NOT NULL PRIMARY KEY,
  node TEXT NOT NULL,
  epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  made_by TEXT NOT NULL,
  action TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
