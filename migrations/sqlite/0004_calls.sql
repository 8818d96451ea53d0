-- In the air: an intent is durable here before its INVITE is sent, and leaves with its result.
CREATE TABLE live_call (
  campaign INTEGER NOT NULL,
  attempt BLOB NOT NULL,
  contact INTEGER NOT NULL,
  person INTEGER NOT NULL,
  number INTEGER NOT NULL,
  node TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  campaign_version INTEGER NOT NULL,
  trunk INTEGER NOT NULL,
  trunk_version INTEGER NOT NULL,
  result_map_version INTEGER NOT NULL,
  caller_id INTEGER NOT NULL,
  agent INTEGER,
  number_gap_ms INTEGER NOT NULL,
  intent_ms INTEGER NOT NULL,
  sip_local TEXT NOT NULL,
  answered_ms INTEGER,
  dialog TEXT,
  connected_ms INTEGER,
  PRIMARY KEY (campaign, attempt)
) STRICT, WITHOUT ROWID;

-- What became of each attempt, with everything that was seen.
CREATE TABLE attempt (
  campaign INTEGER NOT NULL,
  attempt BLOB NOT NULL,
  contact INTEGER NOT NULL,
  person INTEGER NOT NULL,
  number INTEGER NOT NULL,
  node TEXT,
  epoch INTEGER,
  campaign_version INTEGER NOT NULL,
  trunk INTEGER,
  trunk_version INTEGER,
  result_map_version INTEGER NOT NULL,
  caller_id INTEGER,
  agent INTEGER,
  result TEXT NOT NULL,
  cisco INTEGER NOT NULL,
  intent_ms INTEGER NOT NULL,
  dialled_ms INTEGER,
  ringing_ms INTEGER,
  answered_ms INTEGER,
  connected_ms INTEGER,
  ended_ms INTEGER,
  rang_ms INTEGER NOT NULL,
  sip_status INTEGER,
  sip_phrase TEXT,
  q850 INTEGER,
  cancelled TEXT,
  ended_by TEXT,
  answer_to_agent_us INTEGER,
  evidence TEXT NOT NULL,
  orphan TEXT,
  next_due_ms INTEGER,
  window_ms INTEGER,
  abandoned INTEGER NOT NULL,
  connected INTEGER NOT NULL,
  outside INTEGER NOT NULL,
  event BLOB NOT NULL,
  disposition TEXT,
  disposition_next TEXT,
  disposition_agent INTEGER,
  disposition_ms INTEGER,
  PRIMARY KEY (campaign, attempt)
) STRICT, WITHOUT ROWID;

-- The abandon rate's sums, by window of the campaign's legal zone.
CREATE TABLE abandon_tally (
  campaign INTEGER NOT NULL,
  window_ms INTEGER NOT NULL,
  live_answers INTEGER NOT NULL,
  abandoned INTEGER NOT NULL,
  connected INTEGER NOT NULL,
  outside INTEGER NOT NULL,
  PRIMARY KEY (campaign, window_ms)
) STRICT, WITHOUT ROWID;

-- Agents' long dialogs, so that a restart can end them.
CREATE TABLE agent_leg (
  leg BLOB NOT NULL PRIMARY KEY,
  agent INTEGER NOT NULL,
  node TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  dialog TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Facts that the database refused for a reason of their own: kept as they were, for a person to read.
CREATE TABLE stuck_record (
  id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  body TEXT NOT NULL,
  error TEXT NOT NULL
) STRICT;
