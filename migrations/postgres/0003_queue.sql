-- Tables whose rows come and go quickly are vacuumed by count, not by a share of their size.
-- Which lists a campaign dials: 'filling' until all their contacts stand in campaign_contact, then
-- 'filled'; 'emptying' while they are taken out again. Work that was cut short goes on from here.
CREATE TABLE campaign_list (
  campaign BIGINT NOT NULL REFERENCES campaign (id),
  list BIGINT NOT NULL REFERENCES list (id),
  state TEXT NOT NULL,
  PRIMARY KEY (campaign, list)
);

-- Where a contact stands in a campaign: 'ready' has a row in dial_ready, 'waits' one in dial_wait,
-- 'live' one in live_call, 'closed' none. store/ready_queue.rs alone moves it.
CREATE TABLE campaign_contact (
  campaign BIGINT NOT NULL,
  contact BIGINT NOT NULL,
  state TEXT NOT NULL,
  bucket BIGINT NOT NULL,
  prio BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  last_result TEXT,
  due_ms BIGINT,
  reason TEXT,
  PRIMARY KEY (campaign, contact)
);

-- Only what may be dialled, in dial order: reading on from a cursor never scans.
CREATE TABLE dial_ready (
  campaign BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  prio BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  contact BIGINT NOT NULL,
  person BIGINT NOT NULL,
  number BIGINT NOT NULL,
  zone TEXT NOT NULL,
  number_type TEXT NOT NULL,
  prefix_class BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  PRIMARY KEY (campaign, bucket, prio, seq)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);
-- What becomes ready later.
CREATE TABLE dial_wait (
  campaign BIGINT NOT NULL,
  due_ms BIGINT NOT NULL,
  contact BIGINT NOT NULL,
  PRIMARY KEY (campaign, due_ms, contact)
) WITH (autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0);

-- Sums that pages read often: contacts by state, attempts by result, CRM events.
CREATE TABLE campaign_counter (
  campaign BIGINT NOT NULL,
  name TEXT NOT NULL,
  n BIGINT NOT NULL,
  PRIMARY KEY (campaign, name)
);

-- When any campaign last dialled a number: the gate that keeps the gap between calls.
CREATE TABLE number_guard (
  number BIGINT NOT NULL PRIMARY KEY,
  last_ms BIGINT NOT NULL
);
-- Numbers never to be called, by all ('own') or by one campaign ('campaign:7'); asked at each intent.
CREATE TABLE dnc (
  digits BIGINT NOT NULL,
  scope TEXT NOT NULL,
  source TEXT NOT NULL,
  reason TEXT NOT NULL,
  made_by TEXT NOT NULL,
  from_ms BIGINT NOT NULL,
  until_ms BIGINT,
  PRIMARY KEY (digits, scope)
);
