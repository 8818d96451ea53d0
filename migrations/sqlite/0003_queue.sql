-- Which lists a campaign dials: 'filling' until all their contacts stand in campaign_contact, then
-- 'filled'; 'emptying' while they are taken out again. Work that was cut short goes on from here.
CREATE TABLE campaign_list (
  campaign INTEGER NOT NULL REFERENCES campaign (id),
  list INTEGER NOT NULL REFERENCES list (id),
  state TEXT NOT NULL,
  PRIMARY KEY (campaign, list)
) STRICT, WITHOUT ROWID;

-- Where a contact stands in a campaign: 'ready' has a row in dial_ready, 'waits' one in dial_wait,
-- 'live' one in live_call, 'closed' none. store/ready_queue.rs alone moves it.
CREATE TABLE campaign_contact (
  campaign INTEGER NOT NULL,
  contact INTEGER NOT NULL,
  state TEXT NOT NULL,
  bucket INTEGER NOT NULL,
  prio INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  last_result TEXT,
  due_ms INTEGER,
  reason TEXT,
  PRIMARY KEY (campaign, contact)
) STRICT, WITHOUT ROWID;

-- Only what may be dialled, in dial order: reading on from a cursor never scans.
CREATE TABLE dial_ready (
  campaign INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  prio INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  contact INTEGER NOT NULL,
  person INTEGER NOT NULL,
  number INTEGER NOT NULL,
  zone TEXT NOT NULL,
  number_type TEXT NOT NULL,
  prefix_class INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  PRIMARY KEY (campaign, bucket, prio, seq)
) STRICT, WITHOUT ROWID;
-- What becomes ready later.
CREATE TABLE dial_wait (
  campaign INTEGER NOT NULL,
  due_ms INTEGER NOT NULL,
  contact INTEGER NOT NULL,
  PRIMARY KEY (campaign, due_ms, contact)
) STRICT, WITHOUT ROWID;

-- Sums that pages read often: contacts by state, attempts by result, CRM events.
CREATE TABLE campaign_counter (
  campaign INTEGER NOT NULL,
  name TEXT NOT NULL,
  n INTEGER NOT NULL,
  PRIMARY KEY (campaign, name)
) STRICT, WITHOUT ROWID;

-- When any campaign last dialled a number: the gate that keeps the gap between calls.
CREATE TABLE number_guard (
  number INTEGER NOT NULL PRIMARY KEY,
  last_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Numbers never to be called, by all ('own') or by one campaign ('campaign:7'); asked at each intent.
CREATE TABLE dnc (
  digits INTEGER NOT NULL,
  scope TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  made_by TEXT NOT NULL,
  from_ms INTEGER NOT NULL,
  until_ms INTEGER,
  PRIMARY KEY (digits, scope)
) STRICT, WITHOUT ROWID;
